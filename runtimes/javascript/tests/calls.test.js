// Invocations: results, errors with the user's own frames, limits, other functions, and what does not survive.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

const handler = (body) => `module.exports = async (params) => {\n${body}\n};`;
const run = (body, params, options) => new Guest(handler(body), options).call(params);

function results(name, body, expected, params) {
  test(name, () => assert.deepEqual(run(body, params), { result: expected, text: JSON.stringify(expected) }));
}

function fails(name, source, error, message, stack) {
  test(name, () => {
    const reply = new Guest(source).call({});
    assert.equal(reply.error?.error, error, JSON.stringify(reply));
    assert.match(reply.error.message, message);
    if (stack) assert.match(reply.error.stack, stack);
    assert.doesNotMatch(reply.error.stack, /serverledge:/);
  });
}

results('undefined is null', 'return undefined;', null);
results('a function is null', 'return () => 1;', null);
results('functions in objects are left out', 'return { a: () => 1, b: [() => 1], c: 1 };', { b: [null], c: 1 });
results('toJSON', 'return new Date(0);', '1970-01-01T00:00:00.000Z');
results('not a number', 'return [NaN, Infinity, -0];', [null, null, 0]);
results('characters beyond ASCII', 'return params.text + "é☃😀";', 'ü😀é☃😀', { text: 'ü😀' });
results('params that are no object', 'return params;', 'text', 'text');

fails(
  'a throw',
  'module.exports = (params) => {\n  const inner = () => {\n    throw new RangeError("too far");\n  };\n  return [1].map(inner);\n};',
  'RangeError',
  /^too far$/,
  /^RangeError: too far\n {4}at inner \(index\.js:3:\d+\)\n {4}at map \(native\)\n {4}at <anonymous> \(index\.js:5:\d+\)$/,
);
fails(
  'a rejection',
  handler('  await null;\n  throw new TypeError("late");'),
  'TypeError',
  /^late$/,
  /index\.js:3:\d+/,
);
fails(
  'a rejection in a timer',
  handler('  await new Promise((_, no) => setTimeout(() => no(new Error("timed")), 1));'),
  'Error',
  /^timed$/,
  /index\.js:2:\d+/,
);
fails(
  'a throw in a timer',
  handler('  setTimeout(() => { throw new Error("uncaught"); }, 1);\n  await new Promise(() => {});'),
  'Error',
  /^uncaught$/,
  /index\.js:2:\d+/,
);
fails(
  'a rejection that nobody handles',
  handler('  Promise.reject(new Error("forgotten"));\n  await new Promise(() => {});'),
  'Error',
  /^forgotten$/,
  /index\.js:2:\d+/,
);
fails(
  'a throw in a microtask',
  handler('  queueMicrotask(() => { throw new Error("micro"); });\n  await new Promise(() => {});'),
  'Error',
  /^micro$/,
);
fails('a promise that never settles', handler('  await new Promise(() => {});'), 'UnresolvedPromise', /never settle/);
fails(
  'a class of their own',
  'class Own extends Error { constructor(m) { super(m); this.name = "Own"; } }\nmodule.exports = () => { throw new Own("mine"); };',
  'Own',
  /^mine$/,
  /^Own: mine\n {4}at Own .*\n.*index\.js:2:\d+/,
);
fails('a text is thrown', 'module.exports = () => { throw "plain"; };', 'string', /^plain$/);
fails('nothing is thrown', 'module.exports = () => { throw undefined; };', 'undefined', /^undefined$/);
fails('an object is thrown', 'module.exports = () => { throw { code: 1 }; };', 'Object', /^\{"code":1\}$/);
fails(
  'what is thrown refuses to be looked at',
  'module.exports = () => { throw { get name() { throw this; } }; };',
  'Error',
  /cannot say/,
);
fails(
  'a circular result',
  'module.exports = () => { const a = {}; a.a = a; return a; };',
  'TypeError',
  /^the result cannot be written as JSON: .*circular/i,
);
fails(
  'a BigInt as the result',
  'module.exports = () => 1n;',
  'TypeError',
  /^the result cannot be written as JSON: .*bigint/i,
);
fails(
  'a result that throws',
  'module.exports = () => ({ toJSON() { throw new Error("unwritable"); } });',
  'Error',
  /unwritable/,
);
fails(
  'a then that throws',
  'module.exports = () => ({ get then() { throw new Error("no then"); } });',
  'Error',
  /no then/,
);
fails(
  'an endless recursion',
  'module.exports = () => {\n  const again = () => again() + 1;\n  return again();\n};',
  'RangeError',
  /call stack/,
  /at again \(index\.js:2:\d+\)/,
);
fails(
  'an endless asynchronous recursion',
  handler('  const again = async () => { await again(); };\n  await again();'),
  'RangeError',
  /call stack/,
);
fails('JSON too deep to read', 'module.exports = () => JSON.parse("[".repeat(1e6));', 'RangeError', /call stack/);
fails(
  'JSON too deep to write',
  'module.exports = () => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a; };',
  'RangeError',
  /call stack/,
);
fails('a text too deep for the parser', 'module.exports = () => eval("(".repeat(1e5));', 'RangeError', /call stack/);
fails('a pattern too deep', 'module.exports = () => new RegExp("(?:".repeat(1e5));', 'SyntaxError', /stack overflow/);

test('a recursion of some hundred calls is no problem', () => {
  assert.equal(run('const sum = (n) => (n === 0 ? 0 : n + sum(n - 1)); return sum(400);').result, 80200);
});

// Memory ends at 64 MiB here.
function bounded(name, body, message) {
  test(name, () => {
    const guest = new Guest(`module.exports = () => {\n${body}\n};`, { memoryPages: 1024 });
    const reply = guest.call({});
    assert.equal(reply.error?.error, 'InternalError', JSON.stringify(reply).slice(0, 200));
    assert.match(reply.error.message, message);
    assert.match(reply.error.stack, /^$|index\.js:2:/);
  });
}
bounded('a text of 100 MB', '  return "x".repeat(1e8).length;', /out of memory/);
bounded('a memory bomb', '  const all = []; for (;;) all.push(new Array(1000).fill(1));', /out of memory/);
bounded(
  'a memory bomb that stays',
  '  globalThis.all = []; for (;;) globalThis.all.push({ a: 1 });',
  /out of memory/,
);
bounded('a bomb of bytes', '  const all = []; for (;;) all.push(new Uint8Array(1e6));', /out of memory/);

test('params that are no JSON', () => {
  assert.equal(new Guest('module.exports = () => 1;').callText('{"a":').error.error, 'SyntaxError');
});

test('garbage is collected before memory ends', () => {
  const guest = new Guest(
    'module.exports = () => { for (let i = 0; i < 1e6; i++) { const a = { text: "t" + i }; a.a = a; } return 1; };',
    { memoryPages: 1024 },
  );
  assert.deepEqual(guest.call({}).result, 1);
});

test('randomness and time are drawn per call', () => {
  const guest = new Guest(
    'const early = [Math.random(), Date.now(), crypto.randomUUID()];\nmodule.exports = () => ({ early, late: [Math.random(), Date.now(), crypto.randomUUID()] });',
  );
  const replies = [guest.call({}).result, guest.call({}).result];
  assert.deepEqual(replies[0].early, replies[1].early);
  assert.notEqual(replies[0].late[0], replies[1].late[0]);
  assert.notEqual(replies[0].late[2], replies[1].late[2]);
  assert.ok(Math.abs(replies[0].late[1] - Date.now()) < 60_000);
});

test('nothing survives a call', () => {
  const guest = new Guest(`
    let inModule = 0;
    class Kept { static n = 0; }
    module.exports = () => {
      const seen = [inModule++, Kept.n++, globalThis.leak ?? 0, Array.prototype.leak ?? 0, Object.prototype.leak ?? 0, process.env.leak ?? 0, JSON.leak ?? 0];
      globalThis.leak = Array.prototype.leak = process.env.leak = JSON.leak = 1;
      Object.defineProperty(Object.prototype, 'leak', { value: 1, configurable: true });
      setTimeout(() => {}, 1e6);
      return seen;
    };`);
  for (let i = 0; i < 3; i++) assert.deepEqual(guest.call({}).result, [0, 0, 0, 0, 0, 0, 0]);
});

test('variables are those of the call', () => {
  const guest = new Guest(
    'const { env } = process; const early = { ...process.env }; module.exports = () => [early, env.NAME, "NAME" in env, Object.keys(env), { ...env }.NAME, env.none];',
    { env: { NAME: 'wert=ü' } },
  );
  assert.deepEqual(guest.call({}).result, [{}, 'wert=ü', true, ['NAME'], 'wert=ü', null]);
});

test('timers run in their order', () => {
  const guest = new Guest(
    handler(`
    const order = [];
    const at = (ms, name) => new Promise((done) => setTimeout(() => { order.push(name); done(); }, ms));
    const cancelled = setTimeout(() => order.push('cancelled'), 1);
    clearTimeout(cancelled);
    let ticks = 0;
    const ticking = setInterval(() => { ticks += 1; order.push('tick'); if (ticks === 2) clearInterval(ticking); }, 5);
    queueMicrotask(() => order.push('micro'));
    const started = performance.now();
    await Promise.all([at(30, 'c'), at(0, 'a'), at(20, 'b')]);
    return { order, waited: performance.now() - started };`),
  );
  assert.deepEqual(guest.call({}).result, { order: ['micro', 'a', 'tick', 'tick', 'b', 'c'], waited: 30 });
  assert.equal(guest.slept, 30);
});

test('other functions are called', () => {
  const asked = [];
  const call = (name, params) => {
    asked.push([name, params]);
    return name === 'large'
      ? { text: 'é'.repeat(50_000) }
      : name === 'none'
        ? { error: 'function_unknown', message: 'there is no none' }
        : { result: params.a + 1 };
  };
  const guest = new Guest(
    handler(`
    const sum = await call('add', { a: 1 });
    const { text } = await call('large');
    const none = await call('none', [1]).catch((error) => [error instanceof CallError, error.name, error.code, error.message]);
    const circle = {}; circle.circle = circle;
    const bad = await call('add', circle).catch((error) => error.code);
    return [sum, text.length, none, bad];`),
    { call },
  );
  assert.deepEqual(guest.call({}).result, [
    { result: 2 },
    50_000,
    [true, 'CallError', 'function_unknown', 'there is no none'],
    'invalid_params',
  ]);
  assert.deepEqual(asked, [
    ['add', { a: 1 }],
    ['large', {}],
    ['none', [1]],
  ]);
});

test('a call that fails is an error with the line', () => {
  const { error } = run('  return call("none");');
  assert.equal(error.error, 'CallError [function_unknown]');
  assert.match(error.stack, /index\.js:2:\d+/);
});

test('a JSON transform of 1 MB gives what Node gives', () => {
  const transform = (params) => ({
    byCity: params.people.reduce((all, person) => {
      (all[person.city] ??= []).push({ ...person, name: person.name.toUpperCase(), tags: person.tags.sort() });
      return all;
    }, {}),
    mean: params.people.reduce((sum, person) => sum + person.height, 0) / params.people.length,
    words: [...new Set(params.people.flatMap((person) => person.text.match(/\p{L}+/gu)))].sort(),
  });
  const people = Array.from({ length: 9000 }, (_, at) => ({
    name: `Ünal ${at}`,
    city: ['Roma', 'Köln', '東京'][at % 3],
    height: 1.5 + ((at * 7919) % 5000) / 10_000,
    tags: ['c', 'a', `b${at % 17}`],
    text: `Straße ${at} “quoted” \\ \u0001 ${'lorem ipsum dolor '.repeat(at % 9)}😀`,
  }));
  const params = { people };
  assert.ok(JSON.stringify(params).length > 1e6);
  const guest = new Guest(`module.exports = ${transform};`);
  assert.equal(guest.call(params).text, JSON.stringify(transform(params)));
});

test('the examples give what Node gives', () => {
  const folder = path.join(__dirname, '..', '..', '..', 'examples');
  const guest = new Guest(fs.readFileSync(path.join(folder, 'sieve.js'), 'utf8'), { file: 'sieve.js' });
  assert.deepEqual(guest.call({ limit: 100_000 }).result, require(path.join(folder, 'sieve.js'))({ limit: 100_000 }));
  assert.match(
    guest.call({ limit: -1 }).error.stack,
    /^RangeError: limit is -1.*\n {4}at <anonymous> \(sieve\.js:\d+:\d+\)$/,
  );
  const hello = new Guest(fs.readFileSync(path.join(folder, 'hello.js'), 'utf8'), {
    file: 'hello.js',
    name: 'hello',
  });
  assert.deepEqual(hello.call({ name: 'Ada' }).result, { message: 'Hello, Ada!', function: 'hello' });
  assert.equal(hello.log, 'greeting Ada\n');
});

// Each page that a call writes has to be restored.
test('a short call touches few pages', () => {
  const guest = new Guest('module.exports = (params) => ({ message: `Hello, ${params.name}!` });');
  assert.deepEqual(guest.call({ name: 'Ada' }).result, { message: 'Hello, Ada!' });
  assert.ok(guest.pagesChanged() <= 32, `${guest.pagesChanged()} pages`);
  assert.ok(guest.snapshot.length <= 2 << 20, `${guest.snapshot.length} bytes`);
});
