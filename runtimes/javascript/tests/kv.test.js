'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest } = require('./guest.js');

const IMPORT = "import { kv, KvError } from 'serverledge'; export default ";

function resultOf(source, params = {}) {
  const guest = new Guest(source);
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  const { result, error } = guest.call(params);
  assert.equal(error, undefined, JSON.stringify(error));
  return result;
}

test('entries are written and read, as text, JSON and bytes', () => {
  const result = resultOf(`${IMPORT} async () => {
    await kv.set('text', 'größer');
    await kv.set('json', { a: [1, 2] });
    await kv.set('bytes', new Uint8Array([0, 255, 7]).subarray(1));
    return [
      await kv.get('text'), await kv.get('json', 'json'), [...await kv.get('bytes', 'bytes')], await kv.get('none'),
      await kv.entry('none'), (await kv.entry('text', 'bytes')).value.length, await kv.entry('json'),
    ];
  }`);
  assert.deepEqual(result, ['größer', { a: [1, 2] }, [255, 7], null, null, 8, { value: '{"a":[1,2]}', version: '2' }]);
});

test('what would be kept as nothing, and options that are none, are refused', () => {
  const result = resultOf(`${IMPORT} async () => {
    class Point { constructor() { this.x = 1; } }
    await kv.set('point', new Point());
    await kv.set('plain', {});
    await kv.set('bare', Object.create(null));
    const attempts = [
      () => kv.set('k', Promise.resolve(1)), () => kv.set('k', new Map([[1, 2]])), () => kv.compareAndSet('k', null, new Set()),
      () => kv.set('k', 'v', 10), () => kv.set('k', 'v', { expirationTtl: 60 }), () => kv.compareAndSet('k', null, 'v', { TTL: 1 }),
      () => kv.list('prefix'), () => kv.list({ perfix: 'a' }), () => kv.list({ limit: 0 }), () => kv.set('k', 'v', { ttl: '10' }),
    ];
    const told = [];
    for (const attempt of attempts) told.push(await attempt().then(() => 'done', (error) => error.code + ': ' + error.message));
    return [await kv.get('point'), await kv.get('plain'), await kv.get('bare'), await kv.get('k'), ...told];
  }`);
  assert.deepEqual(result.slice(0, 4), ['{"x":1}', '{}', '{}', null]);
  const named = ['Promise', 'Map', 'Set', '10', 'expirationTtl', 'TTL', 'prefix', 'perfix', '0', '"10"'];
  for (const [at, name] of named.entries()) {
    assert.match(result[4 + at], /^kv_(request|ttl)_invalid: /);
    assert.ok(result[4 + at].includes(name), result[4 + at]);
  }
});

test('entries outlive a call, and not their time', () => {
  const guest = new Guest(`${IMPORT} async ({ set }) => {
    if (set) await kv.set('k', 'v', { ttl: 1.5 });
    return kv.get('k');
  }`);
  assert.equal(guest.call({ set: true }).result, 'v');
  guest.stores.now += 1499;
  assert.equal(guest.call().result, 'v');
  guest.stores.now += 1;
  assert.equal(guest.call().result, null);
});

test('counting, swapping, deleting and listing', () => {
  const result = resultOf(`${IMPORT} async () => {
    const counted = [await kv.increment('n'), await kv.increment('n', 41), await kv.increment('n', -2)];
    const first = await kv.compareAndSet('s', null, 'a');
    const again = await kv.compareAndSet('s', null, 'b');
    const second = await kv.compareAndSet('s', first, 'b');
    const stale = await kv.compareAndSet('s', first, 'c');
    const swaps = [typeof first, again, typeof second, stale, await kv.get('s')];
    const page = await kv.list({ limit: 1 });
    const rest = await kv.list({ cursor: page.cursor, limit: 1 });
    return [counted, swaps, page, rest, await kv.delete('n'), await kv.delete('n'), await kv.list({ prefix: 'n' })];
  }`);
  assert.deepEqual(result, [
    [1, 42, 40],
    ['string', null, 'string', null, 'b'],
    { keys: ['n'], cursor: 'n' },
    { keys: ['s'], cursor: null },
    true,
    false,
    { keys: [], cursor: null },
  ]);
});

test('stores have names, and entries of their own', () => {
  const result = resultOf(`const { kv } = require('serverledge');
  module.exports = async () => {
    const other = kv.store('other');
    await kv.set('k', 'here');
    await other.set('k', 'there');
    return [await kv.get('k'), await other.get('k'), await kv.store('default').get('k')];
  };`);
  assert.deepEqual(result, ['here', 'there', 'here']);
});

test('errors have their codes', () => {
  const result = resultOf(`${IMPORT} async () => {
    const attempts = [
      () => kv.get('unavailable'),
      () => kv.set('word', 'x').then(() => kv.increment('word')),
      () => kv.get('k', 'xml'),
      () => kv.get(7),
      () => kv.store(null).get('k'),
      () => kv.set('k', 'v', { ttl: 0 }),
      () => kv.set('k', () => 1),
      () => kv.increment('k', 0.5),
    ];
    const codes = [];
    for (const attempt of attempts) {
      await attempt().then(() => codes.push('none'), (e) => codes.push(e instanceof KvError ? e.code : e.message));
    }
    return codes;
  }`);
  assert.deepEqual(result, [
    'kv_unavailable',
    'kv_not_a_number',
    'kv_request_invalid',
    'kv_key_invalid',
    'kv_store_invalid',
    'kv_ttl_invalid',
    'kv_request_invalid',
    'kv_request_invalid',
  ]);
});

test('a value that cannot be read as what was asked for is an error, and stays as it is', () => {
  const result = resultOf(`${IMPORT} async () => {
    await kv.set('bytes', new Uint8Array([0x66, 0xff, 0xc3]));
    await kv.set('text', 'no {json');
    const codes = [];
    for (const [key, type] of [['bytes', 'text'], ['bytes', 'json'], ['text', 'json']]) {
      for (const read of [kv.get(key, type), kv.entry(key, type)]) {
        await read.then(() => codes.push('none'), (e) => codes.push(e instanceof KvError ? e.code : e.message));
      }
    }
    return [...codes, [...await kv.get('bytes', 'bytes')], await kv.get('text')];
  }`);
  assert.deepEqual(result, [...Array(6).fill('kv_value_invalid'), [0x66, 0xff, 0xc3], 'no {json']);
});

test('a sum that JavaScript has no number for is in the message', () => {
  const result = resultOf(`${IMPORT} async () => {
    await kv.set('n', '9007199254740990');
    const exact = await kv.increment('n');
    const error = await kv.increment('n', 2).catch((e) => e);
    return [exact, error instanceof KvError, error.code, error.message, await kv.get('n')];
  }`);
  assert.equal(result[0], Number.MAX_SAFE_INTEGER);
  assert.deepEqual(result.slice(1, 3), [true, 'kv_not_a_number']);
  assert.match(result[3], /was applied.*: 9007199254740993$/);
  assert.equal(result[4], '9007199254740993');
});

test('the code of an error that nobody catches is told', () => {
  const { error } = new Guest(`${IMPORT} () => kv.set('k', 'v', { ttl: 0 });`).call();
  assert.equal(error.error, 'KvError [kv_ttl_invalid]');
  assert.match(error.stack, /^KvError \[kv_ttl_invalid\]: a lifetime /);
  const own = new Guest('module.exports = () => { throw Object.assign(new RangeError("far"), { code: "own" }); };').call();
  assert.equal(own.error.error, 'RangeError');
});

test('another name of the module is refused with the right one', () => {
  const { error } = new Guest("import kv from 'serverledge/kv'; export default () => kv.get('k');");
  assert.equal(error.error, 'UnresolvedImport');
  assert.equal(error.message, `there is no module "serverledge/kv": write import { kv } from 'serverledge'`);
});

test('there is no store while a file is loaded', () => {
  const { error } = new Guest("import { kv } from 'serverledge'; await kv.get('k'); export default () => 1");
  assert.equal(error.error, 'KvError [not_running]');
  assert.match(error.message, /use them in the handler/);
});
