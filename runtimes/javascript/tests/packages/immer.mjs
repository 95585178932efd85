import { applyPatches, current, enableMapSet, enablePatches, freeze, isDraft, original, produce, produceWithPatches } from 'immer';

enableMapSet();
enablePatches();

export default ({ name, values }) => {
  const base = { name, values, deep: { a: { b: 1 } }, map: new Map([['k', { n: 1 }]]), set: new Set([1]) };
  const [next, patches, inverse] = produceWithPatches(base, (draft) => {
    draft.values.push(7);
    draft.values.splice(0, 2);
    draft.deep.a.b += 1;
    draft.map.get('k').n = 2;
    draft.set.add(2);
    delete draft.name;
  });
  const seen = [];
  produce(base, (draft) => {
    draft.deep.a.c = [1];
    seen.push(isDraft(draft.deep), original(draft.deep), current(draft.deep));
  });
  let fault;
  try {
    next.values.push(1);
  } catch (error) {
    fault = error.name;
  }
  return {
    next: { ...next, map: [...next.map], set: [...next.set] },
    shared: [next.deep === base.deep, base.deep.a.b, produce(base, () => {}) === base],
    patches,
    back: applyPatches(next, inverse).values,
    seen,
    fault,
    frozen: Object.isFrozen(freeze({ a: {} }, true).a),
    curried: produce((draft, by) => void (draft.n *= by))({ n: 3 }, 4),
  };
};
