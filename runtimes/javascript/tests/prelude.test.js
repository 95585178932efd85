// Files of the prelude that are loaded if a script names what they give (main.c), and what the others cost.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest } = require('./guest.js');

const SHORT = `module.exports = (params) => {
  for (const name of ['a', 'b']) {
    if (!Number.isSafeInteger(params[name])) throw new TypeError(\`\${name} must be an integer\`);
  }
  return { sum: [params.a, params.b].reduce((total, each) => total + each, 0) };
};`;

// Whether a file that gives Headers was loaded, without naming it.
const LOADED = `module.exports = () => Reflect.ownKeys(globalThis).includes('Head' + 'ers');`;

const isLoaded = (before, options) => new Guest(`${before}\n${LOADED}`, options).call().result;

test('a whole word loads what gives it', () => {
  for (const word of ['Headers', '// Headers', "'Headers'", '"Headers"', '`Headers`', '0\n;Headers', '0;\tHeaders', '/\\nHeaders/', '[Request]']) {
    const expected = !word.includes('\\n');
    assert.equal(isLoaded(`const it = ${word.startsWith('//') ? `0 ${word}` : word};`), expected, word);
  }
});

test('a part of a word does not', () => {
  for (const word of ['xHeaders', 'Headers1', '$Headers', 'Headers_', 'éHeaders', 'Headersé', 'headers', 'prefetch']) {
    assert.equal(isLoaded(`const ${word} = 1;`), false, word);
  }
});

test('names stand in other parts of the input too', () => {
  assert.equal(isLoaded('', { deployEnv: { WHAT: 'Headers' } }), true);
  assert.equal(isLoaded('', { deployEnv: { WHAT: 'other' } }), false);
});

test('a quoted module is loaded, and the same word elsewhere is not', () => {
  for (const quoted of ["require('buffer')", 'require("buffer")', 'require(`buffer`)', "require('node:buffer')"]) {
    assert.equal(new Guest(`module.exports = () => typeof ${quoted}.Buffer.from`).call().result, 'function', quoted);
  }
  const unquoted = "module.exports = () => { const buffer = 1; return Reflect.ownKeys(globalThis).includes('Buf' + 'fer') };";
  assert.equal(new Guest(unquoted).call().result, false);
});

// What a call costs is, more than all else, the pages that it writes, and the length of the memory's contents.
test('a short call writes few pages, and begins with little memory', () => {
  const guest = new Guest(SHORT);
  assert.deepEqual(guest.call({ a: 2, b: 3 }).result, { sum: 5 });
  assert.ok(guest.pagesChanged() <= 28, `${guest.pagesChanged()} pages`);
  const { snapshot } = guest;
  const first = snapshot.findIndex((byte) => byte !== 0);
  const last = snapshot.findLastIndex((byte) => byte !== 0);
  // Behind the stack, in which nothing is left.
  assert.equal(first >= 176 * 1024, true, `the first byte is at ${first}`);
  assert.ok(last - first < 600 * 1024, `${last - first} bytes`);
});

test('a function that calls itself without end is told so while the file is loaded, too', () => {
  const { error } = new Guest('const f = () => f() + 1; f(); module.exports = f;');
  assert.equal(error.error, 'RangeError');
  assert.match(error.message, /call stack/);
});
