import { JSONPath } from 'jsonpath-plus';

const json = { store: { book: [{ title: 'A', price: 8.95, isbn: '0-1' }, { title: 'B', price: 12.99 }, { title: 'C', price: 22.99, isbn: '0-2' }], bicycle: { colour: 'red', price: 19.95 } } };
const PATHS = ['$.store.book[*].title', '$..price', '$.store.*', '$..book[-1:]', '$..book[0,1].title', '$..book[?(@.isbn)].title', '$..book[?(@.price < 10 && @.title != "x")]', '$.store.book[(@.length-1)].title', '$..book[1:].price', '$..*~', '$..[?(@.colour === "red")]^'];

export default () => ({
  values: PATHS.map((path) => JSONPath({ path, json })),
  paths: JSONPath({ path: '$..isbn', json, resultType: 'path' }),
  pointers: JSONPath({ path: '$..isbn', json, resultType: 'pointer' }),
  all: JSONPath({ path: '$..bicycle', json, resultType: 'all' }),
  one: JSONPath({ path: '$.store.bicycle.colour', json, wrap: false }),
  nothing: [JSONPath({ path: '$.x', json }), JSONPath({ path: '$.x', json, wrap: false }) ?? null],
  array: JSONPath.toPathArray('$.a["b"][0]..c'),
  text: JSONPath.toPathString(['$', 'a', '0']),
});
