import * as R from 'ramda';

export default ({ name, values }) => {
  const people = values.map((age, at) => ({ name: `${name}${at}`, age, tags: at % 2 ? ['x'] : [] }));
  return {
    lists: [R.aperture(2, values), R.splitEvery(3, values), R.transpose([[1, 2], [3]]), R.uniq(values), R.zipWith(R.multiply, values, values), R.scan(R.add, 0, values), R.xprod([1], ['a', 'b'])],
    grouped: [R.groupBy(({ age }) => (age > 3 ? 'old' : 'young'), people), R.countBy(R.identity, values), R.sortWith([R.descend(R.prop('age')), R.ascend(R.prop('name'))], people)],
    lenses: [R.over(R.lensPath([0, 'age']), R.inc, people)[0], R.view(R.lensProp('name'), people[1]), R.assocPath(['a', 'b', 0], 1, {})],
    functions: [R.pipe(R.filter(R.gt(4)), R.map(R.negate), R.sum)(values), R.compose(R.toUpper, R.trim)(' a '), R.curry((a, b, c) => a + b + c)(1, R.__, 3)(2), R.converge(R.divide, [R.sum, R.length])(values), R.cond([[R.equals(1), R.always('one')], [R.T, R.toString]])(5)],
    objects: [R.evolve({ a: R.inc, b: { c: R.not } }, { a: 1, b: { c: true } }), R.mergeDeepRight({ a: { b: 1 } }, { a: { c: 2 } }), R.invertObj({ a: 'b' }), R.whereEq({ a: 1 }, { a: 1, b: 2 }), R.pathOr('none', ['x', 'y'], {})],
    transduced: R.into([], R.compose(R.map(R.inc), R.filter(R.modulo(R.__, 2)), R.take(2)), values),
    texts: [R.toString({ a: [1, new Date(0), /x/g, undefined] }), R.toString(new Map()), R.test(/^A/, name), R.equals([1, { a: new Set([1]) }], [1, { a: new Set([1]) }])],
    tried: R.tryCatch(R.prop('x'), R.F)(null) ?? 'undefined',
  };
};
