// Mathematical functions give what Node.js gives, to the last digit.
'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest } = require('./guest.js');

const ONE = 'acos acosh asin asinh atan atanh cbrt cos cosh exp expm1 log log10 log1p log2 sin sinh sqrt tan tanh'.split(' ');
const ARGUMENTS = 300;
const SPECIAL = [
  0, -0, 1, -1, 0.5, -0.5, 2, -2, 3, 10, 22, 28, 1000, 0.1, 0.7, 1.5, 1.05, 1 / 3, NaN, Infinity, -Infinity,
  Number.MIN_VALUE, -Number.MAX_VALUE, Number.MAX_VALUE, 2 ** -1022, 1 + 2 ** -52, 1 - 2 ** -53, 709.782712893384,
  709.782712893385, 710.4758600739439, -745.13321910194, 0.34657359027997264, 1e-9, 2 ** -28, 1e300, Math.PI, Math.E,
];

// The same numbers in every run: xorshift with 32 bits (G. Marsaglia, 2003), each kind of them in turn.
function numbers(count) {
  let state = 0x9e3779b9;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const kinds = [
    () => next(),
    () => (next() - 0.5) * 20,
    () => (next() - 0.5) * 1500,
    () => Math.floor(next() * 200) - 50,
    () => Math.round(next() * 1e4) / 100,
    () => 2 ** ((next() - 0.5) * 100) * (next() < 0.5 ? -1 : 1),
    () => 1 + (next() - 0.5) * 2 ** -Math.floor(next() * 50),
  ];
  return Array.from({ length: count }, (_, at) => kinds[at % kinds.length]());
}

// Numbers with all their bits, on the way there and back.
const written = (values) => Buffer.from(new Float64Array(values).buffer).toString('hex');
const read = (hex) => [...new Float64Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer)];

const guest = new Guest(`
  const bytesOf = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  module.exports = ({ name, count, hex }) => {
    const values = new Float64Array(bytesOf(hex).buffer);
    const run = name === '**' ? (a, b) => a ** b : Math[name];
    const results = new Float64Array(values.length / count);
    for (let at = 0; at < results.length; at++) results[at] = run(...values.subarray(at * count, (at + 1) * count));
    return Array.from(new Uint8Array(results.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
  };
`);

function compare(name, lists, run = Math[name]) {
  const count = lists[0].length;
  const { result, error } = guest.call({ name, count, hex: written(lists.flat()) });
  assert.equal(error, undefined, JSON.stringify(error));
  const results = read(result);
  assert.equal(results.length, lists.length);
  lists.forEach((list, at) => {
    const expected = run(...list);
    assert.ok(Object.is(results[at], expected), `${name}(${list}): ${results[at]}, not ${expected}`);
  });
}

for (const name of ONE) {
  test(`Math.${name}`, () => compare(name, [...SPECIAL, ...numbers(ARGUMENTS)].map((value) => [value])));
}

const PAIRS = [
  ...SPECIAL.flatMap((a) => SPECIAL.map((b) => [a, b])),
  ...numbers(2 * ARGUMENTS).map((value, at, all) => [value, all[(at * 31 + 7) % all.length]]),
];

test('powers', () => {
  compare('pow', PAIRS);
  compare('**', PAIRS, (a, b) => a ** b);
});

test('Math.atan2', () => compare('atan2', PAIRS));

test('Math.hypot', () => {
  compare('hypot', PAIRS);
  compare('hypot', PAIRS.map(([a, b], at) => [a, b, PAIRS[(at * 17 + 5) % PAIRS.length][0]]));
  const many = numbers(1000);
  compare('hypot', [many]);
});

test('the arguments of hypot are converted in their order, and there may be none', () => {
  const source = `module.exports = () => {
    const order = [];
    const value = (n) => ({ valueOf: () => (order.push(n), n) });
    let thrown;
    try { Math.hypot(Infinity, value(3), { valueOf() { throw new Error('no'); } }, value(4)); } catch (e) { thrown = e.message; }
    return [Math.hypot(), Math.hypot(-3), Math.hypot(value(3), value(4)), order, thrown, Math.hypot(NaN, -Infinity)];
  }`;
  assert.deepEqual(new Guest(source).call().result, [0, 3, 5, [3, 3, 4], 'no', null]);
});

// Constants are computed when a file is compiled.
test('interest', () => {
  const { result } = new Guest('const sum = 1000 * 1.05 ** 10; module.exports = ({ years }) => [sum, 1000 * 1.05 ** years]').call({
    years: 10,
  });
  assert.deepEqual(result, [1000 * 1.05 ** 10, 1000 * 1.05 ** 10]);
});
