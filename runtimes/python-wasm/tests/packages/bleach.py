# requires: bleach==6.4.0
import bleach


def handler(params):
    return [bleach.clean('<b onclick="x">ok</b><script>alert(1)</script><a href="javascript:x">a</a> & &lt;'), bleach.clean("<i>x</i><p>y", tags={"p"}, strip=True), bleach.linkify(f"see https://example.org/a?b=1&c and {params['name']}@example.org"), bleach.clean("<!-- c -->text", strip_comments=False)]
