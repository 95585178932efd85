import { buildSchema, graphql, introspectionFromSchema, parse, print, printSchema, validate } from 'graphql';

const schema = buildSchema(`
  "Somebody" type Person { id: ID! name(upper: Boolean = false): String friends(first: Int): [Person!]! }
  enum Sort { UP DOWN }
  input By { sort: Sort! at: Float }
  type Query { people(by: By): [Person!]! fails: Int hello(name: String!): String @deprecated(reason: "old") }
`);

export default async ({ name, values }) => {
  const people = values.map((id) => ({ id, name: ({ upper }) => (upper ? name.toUpperCase() : name), friends: ({ first }) => people.slice(0, first) }));
  const rootValue = {
    people: ({ by }) => (by?.sort === 'DOWN' ? [...people].sort((a, b) => b.id - a.id) : people),
    fails: () => {
      throw new Error('on purpose');
    },
    hello: async ({ name: whom }) => `hello ${whom}`,
  };
  const run = (source, variableValues) => graphql({ schema, source, rootValue, variableValues });
  return {
    query: await run('query ($by: By) { people(by: $by) { ...f } fails } fragment f on Person { id n: name(upper: true) friends(first: 1) { id } }', { by: { sort: 'DOWN' } }),
    wrong: [await run('{ people { nme } }'), await run('{ hello }'), await run('{'), await run('query($by: By){people(by:$by){id}}', { by: { sort: 'X' } })],
    printed: print(parse('{a(b:[1,2.5,"x",{c:null}]) @include(if:true){...on B{d}}}')),
    schema: printSchema(schema),
    types: introspectionFromSchema(schema).__schema.types.length,
    errors: validate(schema, parse('{ people { id { x } } }')).map(({ message, locations }) => [message, locations]),
  };
};
