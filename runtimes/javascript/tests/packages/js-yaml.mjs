import * as yaml from 'js-yaml';

const TEXT = `
base: &base {a: 1, b: [x, "y\\u00e9", 'z''s']}
list:
  - !!str 12
  - 0x1F
  - 1_000
  - ~
  - 2026-11-29
folded: >-
  one
  two

  three
literal: |+
  a
    b

? complex key
: [1.5e3, .inf, -.inf, true]
again: *base
`;

export default ({ name }) => {
  const data = yaml.load(TEXT);
  const attempt = (text) => {
    try {
      return yaml.load(text);
    } catch (error) {
      return [error.name, error.reason, error.message];
    }
  };
  return {
    data,
    infinite: data['complex key'].map(String),
    dumped: yaml.dump({ ...data, list: [name, '', 'yes', '12', 'a: b', 'multi\nline', null, 1e21, -0], nested: { deep: [[1], {}] } }, { lineWidth: 40, sortKeys: true }),
    flow: yaml.dump({ a: [1, { b: 2 }] }, { flowLevel: 1 }),
    all: yaml.loadAll('a: 1\n---\n- b\n...\n'),
    wrong: [attempt('a: [1'), attempt('a: b: c'), attempt('\tx: 1'), attempt('a: 1\na: 2'), attempt('*x')],
  };
};
