import { Liquid } from 'liquidjs';

const TEMPLATE = `{%- assign sorted = items | sort: "price" -%}
{% for item in sorted limit: 3 -%}
  {{ forloop.index }}/{{ forloop.length }} {{ item.name | upcase | append: "!" }} {{ item.price | times: 1.5 | round: 1 }}
{% endfor %}{{ when | date: "%Y-%m-%d %H:%M %A %-d. %b" }} {{ text | escape }} {{ "a,b,c" | split: "," | reverse | join: "-" }}
{% case items.size %}{% when 8 %}eight{% else %}other{% endcase %}{% capture x %}{{ missing | default: "none" }}{% endcapture %}[{{ x }}]
{% tablerow i in (1..4) cols: 2 %}{{ i }}{% endtablerow %}{% render "part", n: 5 %}{{ text | truncate: 8 }}{{ 7 | divided_by: 2.0 }} {{ "now" | slice: 1, 2 }}`;

export default async ({ text, values, date }) => {
  const engine = new Liquid({ templates: { part: '<{{ n | plus: 1 }}>' }, timezoneOffset: 0 });
  engine.registerFilter('double', (value) => value * 2);
  const items = values.map((price, at) => ({ name: `n${at}`, price }));
  const attempt = async (source, options) => new Liquid(options).parseAndRender(source, {}).catch((error) => [error.name, error.message]);
  return {
    page: await engine.parseAndRender(TEMPLATE, { items, text: `<${text}>`, when: date }),
    sync: engine.parseAndRenderSync('{{ 4 | double }}{{ a.b[0].c }}', { a: { b: [{ c: 1 }] } }),
    value: await engine.evalValue('values contains 3 and true', { values }),
    wrong: [await attempt('{% if %}'), await attempt('{{ a | nope }}', { strictFilters: true }), await attempt('{{ x.y }}', { strictVariables: true }), await attempt('{% for %}')],
  };
};
