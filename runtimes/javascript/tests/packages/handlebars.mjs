import Handlebars from 'handlebars';

export default ({ name, values }) => {
  const bars = Handlebars.create();
  bars.registerHelper('times', (count, options) => Array.from({ length: count }, (_, at) => options.fn({ at })).join(''));
  bars.registerHelper('money', (value, { hash }) => new bars.SafeString(`<i>${value.toFixed(hash.digits ?? 2)}</i>`));
  bars.registerPartial('row', '<li>{{@index}} {{money this digits=1}}{{#unless @last}},{{/unless}}</li>');
  const template = bars.compile('<h1>{{title}}</h1>{{{raw}}}<ul>{{#each values}}{{> row}}{{else}}none{{/each}}</ul>{{#with deep.a}}{{b}}{{../title}}{{/with}}{{#times 3}}[{{at}}]{{/times}}{{lookup values 2}}');
  const data = { title: `<${name}> & "co"`, raw: '<hr>', values, deep: { a: { b: 'b' } } };
  const fails = (text, options, input) => {
    try {
      return bars.compile(text, options)(input);
    } catch (error) {
      return [error.name, error.message];
    }
  };
  return {
    page: template(data),
    empty: template({ values: [] }),
    wrong: [fails('{{#if a}}'), fails('{{b}}', { strict: true }, {}), fails('{{missing 1}}', {}, {})],
    tree: Handlebars.parse('{{a.b c=1}}').body,
    source: Handlebars.precompile('{{a}}'),
  };
};
