/** Functions to begin with: short, complete, and each shows one thing. */
import type { Runtime, Signature } from '../types';

export interface Template {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** The function's name, unless there is another. */
  readonly name: string;
  readonly runtime: Runtime;
  readonly code: string;
  readonly signature: Signature;
  readonly idempotent?: boolean;
  readonly edge?: boolean;
}

export const TEMPLATES: readonly Template[] = [
  {
    id: 'hello',
    title: 'Hello',
    text: 'Parameters in, a result out, a line in the log.',
    name: 'hello',
    runtime: 'javascript',
    signature: { Inputs: [{ Name: 'name', Type: 'Text' }], Outputs: [{ Name: 'message', Type: 'Text' }] },
    code: `// Greets whom it is told to.
module.exports = ({ name = 'world' }) => {
  console.log('greeting', name);
  return { message: \`Hello, \${name}!\` };
};
`,
  },
  {
    id: 'calls',
    title: 'Calls another function',
    text: 'Asks the function “hello” for each name, and puts the answers together.',
    name: 'greet-all',
    runtime: 'javascript',
    signature: { Inputs: [{ Name: 'names', Type: 'ArrayText' }], Outputs: [{ Name: 'messages', Type: 'ArrayText' }] },
    code: `// Calls another function of the same space, here "hello", once for each name.
module.exports = async ({ names = ['Ada', 'Grace'] }) => {
  const messages = [];
  for (const name of names) {
    const { message } = await call('hello', { name });
    messages.push(message);
  }
  return { messages };
};
`,
  },
  {
    id: 'http',
    title: 'Counter over HTTP',
    text: 'Counts the words of a text in a query, a form or JSON: /fn/count-words?text=to be or not to be.',
    name: 'count-words',
    runtime: 'javascript',
    signature: { Inputs: [{ Name: 'text', Type: 'Text' }], Outputs: [{ Name: 'words', Type: 'Int' }] },
    code: `// Counts words. Over HTTP the query, a form or JSON are the parameters:
//   GET /fn/count-words?text=to+be+or+not+to+be
module.exports = ({ text = '' }) => {
  const counts = new Map();
  for (const word of String(text).toLowerCase().match(/[\\p{L}\\p{N}'-]+/gu) ?? []) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const often = [...counts].sort(([, a], [, b]) => b - a).slice(0, 10);
  return { words: [...counts.values()].reduce((sum, count) => sum + count, 0), often };
};
`,
  },
  {
    id: 'edge',
    title: 'Idempotent, at the edge',
    text: 'Counts primes. Equal parameters give equal results, so results are kept, and browsers may run it.',
    name: 'primes',
    runtime: 'javascript',
    idempotent: true,
    edge: true,
    signature: { Inputs: [{ Name: 'limit', Type: 'Int' }], Outputs: [{ Name: 'count', Type: 'Int' }] },
    code: `// Counts the primes up to a number, with the sieve of Eratosthenes. It depends on its parameters alone,
// so its results may be kept (idempotent), and a browser may run it (edge).
module.exports = ({ limit = 100000 }) => {
  if (!(limit >= 0 && limit <= 5000000)) throw new RangeError('limit may be from 0 to 5000000');
  const composite = new Uint8Array(limit + 1);
  let count = 0;
  for (let number = 2; number <= limit; number++) {
    if (composite[number]) continue;
    count += 1;
    for (let multiple = number * number; multiple <= limit; multiple += number) composite[multiple] = 1;
  }
  return { limit, count };
};
`,
  },
  {
    id: 'python',
    title: 'Python',
    text: 'The same in Python. It runs in WebAssembly as well, without a container.',
    name: 'hello-python',
    runtime: 'python-wasm',
    signature: { Inputs: [{ Name: 'name', Type: 'Text' }], Outputs: [{ Name: 'message', Type: 'Text' }] },
    code: `"""Greets whom it is told to."""


def handler(params, context):
    name = params.get("name", "world")
    print("greeting", name)
    return {"message": f"Hello, {name}!"}
`,
  },
];
