# requires: html5lib==1.1
import html5lib

PAGE = "<title>x</title><p>one<p>two <b>b<i>bi</b>i</i><table><td>cell<tr><td>after</table><svg viewbox=1></svg>&notit; &copy"


def handler(params):
    tree = html5lib.parse(PAGE, namespaceHTMLElements=False)
    return [html5lib.serialize(tree, quote_attr_values="always", omit_optional_tags=False), [each.text for each in tree.iter("td")], html5lib.serialize(html5lib.parseFragment(f"<b>{params['text']}"), tree="etree")]
