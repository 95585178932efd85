// The memory of a call: what it holds, and what happens when it is used up.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

// 128 MB, the default of functions.
const memoryPages = 2048;

// Makes objects until there is no room for more, drops them, and goes on.
const FILLING = `
def fill(make):
    kept, count = [], 0
    try:
        while True:
            kept.append([make(i) for i in range(count, count + 1000)])
            count += 1000
    except MemoryError:
        kept = None
    return count

def handler(p):
    return [fill(eval(make)) for make in p]
`;

// Beside CPython's own size for 32 bits: 16 bytes for a number, 24 for such a text, 88 for such a dictionary, and 4 each in a list.
for (const [what, make, least] of [
  ['numbers', 'lambda i: i + 1000000', 5_000_000],
  ['texts', 'lambda i: "text %d" % i', 2_500_000],
  ['dictionaries', 'lambda i: {"a": i}', 800_000],
  ['lists', 'lambda i: [i]', 1_700_000],
]) {
  test(`a call holds many ${what}`, () => {
    const [count] = result(FILLING, [make], { memoryPages });
    assert.ok(count >= least, String(count));
  });
}

test('memory of one size of objects is there for those of others again', () => {
  const makes = ['lambda i: i + 1000000', 'lambda i: {"a": i}', 'lambda i: (i, i, i)', 'lambda i: "text %d" % i', 'lambda i: i + 1000000'];
  const counts = result(FILLING, makes, { memoryPages });
  assert.ok(counts.at(-1) >= 0.9 * counts[0], String(counts));
});

test('a call that has no memory left fails with a MemoryError', () => {
  const guest = new Python('def handler(p):\n    kept = []\n    while True:\n        kept.append({"a": len(kept) + 1000000})', { memoryPages });
  const { error } = guest.call();
  assert.equal(error.error, 'MemoryError');
});
