import _ from 'lodash';

export default ({ name, text, values }) => ({
  arrays: [_.chunk(values, 3), _.uniq(values), _.zip([1, 2], ['a', 'b']), _.flattenDeep([1, [2, [3]]]), _.intersection([1, 2], [2, 3]), _.sortedUniq([1, 1, 2])],
  collections: [_.groupBy(values, (each) => (each % 2 ? 'odd' : 'even')), _.orderBy([{ a: 1, b: 2 }, { a: 1, b: 1 }, { a: 0, b: 9 }], ['a', 'b'], ['desc', 'asc']), _.keyBy([{ id: 'x' }], 'id'), _.partition(values, (each) => each > 3)],
  objects: [_.merge({ a: { b: 1 }, l: [1, 2] }, { a: { c: 2 }, l: [3] }), _.get({ a: [{ b: 1 }] }, 'a[0].b'), _.set({}, 'x[1].y', 2), _.pick({ a: 1, b: 2 }, 'a'), _.invert({ a: 'b' }), _.mapValues({ a: 1 }, (each) => each + 1)],
  strings: [_.kebabCase('someText HTMLParser'), _.camelCase(text), _.deburr('Ångström žluťoučký'), _.words('fred, barney & pebbles'), _.truncate(text.repeat(3), { length: 20 }), _.escape('<a>&"\''), _.startCase('fooBar'), _.pad('x', 5, '-')],
  template: _.template('<% _.each(list, (each) => { %>[<%- each %>]<% }) %> ${ name }')({ list: ['<', 1], name }),
  equal: [_.isEqual({ a: new Set([1]), d: new Date(0) }, { a: new Set([1]), d: new Date(0) }), _.isMatch({ a: 1, b: 2 }, { b: 2 }), _.isPlainObject(Object.create(null))],
  clone: _.cloneDeep({ a: [new Date(0), /x/gi.source, { b: undefined }] }),
  chain: _(values).filter((each) => each > 1).map((each) => each * each).sortBy().takeRight(3).value(),
  numbers: [_.sumBy([{ n: 1 }, { n: 2 }], 'n'), _.range(0, 1, 0.25), _.round(4.006, 2), _.clamp(9, 0, 5), _.mean(values)],
  functions: [_.curry((a, b, c) => a + b + c)(1)(2)(3), _.flow([(a) => a + 1, (a) => a * 2])(3), _.memoize((a) => a)(5)],
});
