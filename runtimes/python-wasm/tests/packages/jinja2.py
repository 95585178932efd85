# requires: jinja2==3.1.6
from jinja2 import DictLoader, Environment, StrictUndefined, UndefinedError

PAGES = {
    "base": "<h1>{% block title %}{% endblock %}</h1>{% block body %}{% endblock %}",
    "page": """{% extends "base" %}{% macro item(x) %}<li>{{ loop_name }}{{ x }}</li>{% endmacro %}
{% block title %}{{ name | upper }}{% endblock %}
{% block body %}{% for v in values | sort | unique %}{{ item(v) if v > 2 else loop.index }}{% endfor %}{{ "<b>" }}{% endblock %}""",
}
pages = Environment(loader=DictLoader(PAGES), autoescape=True, trim_blocks=True)
pages.filters["twice"] = lambda value: value * 2
strict = Environment(undefined=StrictUndefined)


def handler(params):
    try:
        strict.from_string("{{ missing.name }}").render()
    except UndefinedError as error:
        missing = str(error)
    text = "{{ text | twice }} {{ values | join('-') }} {{ '%.2f' | format(count / 3) }} {{ values | batch(3) | list }} {{ text | urlencode }}"
    return [pages.get_template("page").render(params), pages.from_string(text).render(params), missing]
