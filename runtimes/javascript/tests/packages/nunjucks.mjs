import nunjucks from 'nunjucks';

const TEMPLATES = {
  'base.html': '<title>{% block title %}none{% endblock %}</title>{% block body %}{% endblock %}',
  'page.html': '{% extends "base.html" %}{% import "macros.html" as m %}{% block title %}{{ super() }}: {{ title | upper }}{% endblock %}{% block body %}{% for each in values | sort(true) %}{{ loop.index }}/{{ loop.length }}={{ each }}{{ "," if not loop.last }}{% else %}nothing{% endfor %}{{ m.field("a", type="<b>") }}{% include "part.html" %}{% endblock %}',
  'macros.html': '{% macro field(name, type="text") %}<input name="{{ name }}" type="{{ type }}">{% endmacro %}',
  'part.html': '{% set total = values | sum %}{{ total }} {{ title | escape }} {{ missing | default("none") }} {% if total > 5 and "x" in ["x"] %}big{% endif %} {{ 7 // 2 }} {{ 2 ** 3 }} {% raw %}{{ raw }}{% endraw %}{# no #}',
};

export default ({ name, values }) => {
  const loader = { getSource: (key) => ({ src: TEMPLATES[key], path: key, noCache: true }) };
  const environment = new nunjucks.Environment(loader, { autoescape: true });
  environment.addFilter('shorten', (text, count) => text.slice(0, count));
  environment.addGlobal('now', 'later');
  const attempt = (text) => {
    try {
      return environment.renderString(text, {});
    } catch (error) {
      return [error.name, error.message];
    }
  };
  return {
    page: environment.render('page.html', { title: `<${name}>`, values }),
    filters: environment.renderString('{{ "abcdef" | shorten(2) }} {{ [3,1] | join("-") }} {{ "a b" | title | replace("A", "x") }} {{ 1234.567 | round(1) }} {{ {a: 1} | dump | safe }} {{ values | batch(3) | dump | safe }} {{ now }} {{ "<b>x</b>" | striptags }} {{ "long text here" | wordcount }}', { values }),
    wrong: [attempt('{% if %}'), attempt('{{ a | nope }}'), attempt('{{ f() }}'), attempt('{% include "x" %}')],
    compiled: nunjucks.compile('{{ a.b }}{{ c }}', environment).render({ a: { b: '&' } }),
  };
};
