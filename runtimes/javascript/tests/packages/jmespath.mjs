import jmespath from 'jmespath';

const DATA = {
  machines: [
    { name: 'a', state: 'up', cores: 4, tags: { env: 'prod' } },
    { name: 'b', state: 'down', cores: 8, tags: {} },
    { name: 'c', state: 'up', cores: 2, tags: { env: 'test' } },
  ],
  nested: [[1, 2], [3, [4]]],
};
const QUERIES = ['machines[?state==`up`].name', 'machines[*].{n: name, c: cores} | [-1]', 'sort_by(machines, &cores)[].name', 'nested[]', 'length(machines[?cores > `3`])', 'max_by(machines, &cores).name', 'join(`,`, machines[].name)', 'machines[::-1].name', 'keys(machines[0])', 'sum(machines[].cores)', 'machines[].tags.env || `[]`', 'to_string(nested)', 'not_null(missing, machines[0].name)'];

export default () => ({
  found: QUERIES.map((query) => jmespath.search(DATA, query)),
  tree: jmespath.compile('a.b[?c<`1`]'),
  wrong: ['a[', 'unknown(@)', 'sum(`["a"]`)'].map((query) => {
    try {
      return jmespath.search(DATA, query);
    } catch ({ name, message }) {
      return [name, message];
    }
  }),
});
