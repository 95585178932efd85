# requires: mako==1.4.3
from mako.template import Template

page = Template("""<%def name="item(x)"><li>${x | h}</li></%def>
% for value in sorted(values):
${item(value)}\\
% if loop.last:
${"last"}
% endif
% endfor
${name.upper()} ${text | u} ${"<b>" | h}
""")


def handler(params):
    return page.render(**params)
