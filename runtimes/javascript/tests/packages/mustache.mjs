import mustache from 'mustache';

const TEMPLATE = '{{#people}}<b>{{name}}</b>{{#last}}.{{/last}}{{^last}}, {{/last}}{{/people}}{{^none}}nobody{{/none}} {{{raw}}} {{&raw}} {{! no }}{{deep.a.b}} {{#wrap}}{{title}}{{/wrap}}\n{{=<% %>=}}<% title %> {{title}}<%={{ }}=%>\n{{> part}}';

export default ({ name, values }) => {
  const view = {
    people: values.map((each, at) => ({ name: `${name}<${each}>`, last: at === values.length - 1 })),
    raw: '<i>&</i>',
    title: '"t"',
    deep: { a: { b: 0 } },
    wrap: () => (text, render) => `[${render(text)}]`,
  };
  const fails = (template) => {
    try {
      return mustache.render(template, {});
    } catch (error) {
      return [error.name, error.message];
    }
  };
  return {
    page: mustache.render(TEMPLATE, view, { part: '  {{#people}}{{.}}{{/people}}{{title}}' }),
    tokens: mustache.parse('{{#a}}{{b}}{{/a}}'),
    tags: mustache.render('[[a]]', { a: 1 }, {}, ['[[', ']]']),
    own: mustache.render('{{a}}', { a: 'x' }, {}, { escape: (each) => each.toUpperCase() }),
    wrong: [fails('{{#a}}'), fails('{{/a}}'), fails('{{a')],
  };
};
