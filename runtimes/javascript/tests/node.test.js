// Expectations of people who know Node.js: texts of errors, stacks, causes, recursion, and a word on what is otherwise.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// The same handler here and in Node.js.
function evaluate(source) {
  const module = { exports: {} };
  new Function('module', 'exports', source)(module, module.exports);
  return module.exports;
}

function same(name, source, params = {}) {
  test(name, async () => {
    const reply = new Guest(source).call(params);
    assert.deepEqual(reply.error, undefined);
    assert.equal(reply.text, JSON.stringify(await evaluate(source)(params)));
  });
}

// === texts of errors ===

const FAILING = [
  'const x = {}; x.y();',
  'const x = {}; x.y.z;',
  'let q; q();',
  'const x = { y: {} }; x.y.foo(1, 2, x);',
  'globalThis.Math.nope(1);',
  'const o = { a: { b: [1] } }; o.a.b[0]();',
  'const o = {}, k = "z"; o[k]();',
  'const a = null; a.b();',
  'const a = { f() {} }; a.f().g;',
  'const f = () => undefined; f()();',
  'const a = { f() {} }; a.g(...[1, 2]);',
  'class A { m() { this.missing(); } } new A().m();',
  'const o = {}; new o.Foo();',
  'const { p } = undefined;',
  'const { a: { b } } = { a: null };',
  'for (const k of 5);',
  'const x = { y: 1 }; for (const k of x.y);',
  'const [a] = undefined;',
  'const x = undefined; [...x];',
  'nope;',
  'const c = 1; c = 2;',
  'x1; let x1 = 1;',
  '(function () { "use strict"; Object.freeze({ a: 1 }).a = 2; })();',
  '(function () { "use strict"; Object.freeze({}).x = 1; })();',
  'null.x = 1;',
  'class A {} A();',
  'class B extends undefined {}',
  '1n + 1;',
  '"x" in 5;',
  'new Array(-1);',
  '[].reduce((a, b) => a);',
  'Symbol() + "";',
  '[].map();',
  '[1].map(5);',
  'Map();',
  'new Date(NaN).toISOString();',
  'decodeURIComponent("%");',
  '(1).toFixed(200);',
  'structuredClone(() => 1);',
  'let i = 0; while (i < 3) { if (i === 2) { const u = {}; u.v.w(); } i++; }',
  'try { throw 1; } catch (e) { e.foo(); }',
  'const m = new Map(); m.get("a").b;',
  'const s = "a"; s.foo();',
  'true ? undefined.foo : 1;',
  'const a = {}; const b = a.x && a.x.y; b.z;',
  'switch (1) { case 1: { const v = {}; v.w(); } }',
  '(function inner() { return inner.none(); })();',
  'const a = []; a[0].name;',
  '`${undefined.text}`;',
];
test('errors say in the words of Node.js what failed', () => {
  const body = (failing) => `() => { try { ${failing} } catch (error) { return error.name + ": " + error.message; } }`;
  // The engine writes `key` of an object as Node.js 20 does, but for the object's own name.
  const plain = (text) => text.replace(/ of object '.*'$/, ' of object');
  const guest = new Guest(`module.exports = () => [${FAILING.map(body).join(',\n')}].map((each) => each());`);
  const { result } = guest.call({});
  FAILING.forEach((failing, at) => {
    const expected = new Function(`return ${body(failing)}`)()();
    assert.equal(plain(result[at]), plain(expected.replace(/number 5 is/, '5 is')), failing);
  });
});

test('what is not there is named', () => {
  const message = (body) => new Guest(`module.exports = async () => { ${body} };`).call({}).error.message;
  assert.match(message('crypto.subtle.nothing()'), /^crypto\.subtle\.nothing is not a function$/);
  assert.match(message('new WebSocket("x")'), /^WebSocket is not defined: the runtime javascript does not have it/);
  assert.match(message('new Intl.NumberFormat()'), /^Intl is not defined: the runtime javascript/);
  assert.equal(message('mine()'), 'mine is not defined');
});

// === stacks ===

same(
  'a stack begins with the error',
  `class Own extends Error { constructor(message) { super(message); this.name = 'Own'; } }
  module.exports = () => [new Error('a'), new RangeError('b'), new TypeError(), new Own('c'), new AggregateError([1], 'd')]
    .map((error) => error.stack.split('\\n')[0]);`,
);
same(
  'a stack is a property like any other',
  `module.exports = () => {
    const error = new Error('a');
    const own = Object.getOwnPropertyNames(error);
    const listed = Object.keys(error);
    error.stack = { any: 'thing' };
    const set = error.stack;
    error.stack = undefined;
    const target = {};
    Error.captureStackTrace(target);
    let thrown;
    try { null.x; } catch (error) { thrown = error; }
    return [own, listed, set, error.stack ?? 'none', target.stack.split('\\n')[0], Object.getOwnPropertyNames(thrown),
      delete error.stack, 'stack' in error];
  };`,
);

test('causes and the errors of an AggregateError are told', () => {
  const source = `module.exports = ({ many }) => {
    if (many) return Promise.any([Promise.reject(new Error('a is down')), Promise.reject(new Error('b is down'))]);
    try { null.total; } catch (cause) { throw new Error('cannot price', { cause }); }
  };`;
  const guest = new Guest(source);
  const { error } = guest.call({});
  assert.equal(error.message, 'cannot price');
  assert.match(error.stack, /^Error: cannot price\n {4}at .*index\.js:3.*\{\n {2}\[cause\]: TypeError: Cannot read properties of null/);
  const many = guest.call({ many: true }).error;
  assert.deepEqual([many.error, many.message], ['AggregateError', 'All promises were rejected']);
  assert.match(many.stack, /\[errors\]: \[\n {4}Error: a is down\n[^]*Error: b is down/);
  const deep = new Guest(`module.exports = () => {
    throw new Error('outer', { cause: new Error('middle', { cause: Object.assign(new Error('inner'), { code: 'EX' }) }) });
  };`);
  assert.match(deep.call({}).error.stack, /middle[^]*inner[^]*code: 'EX'/);
});

// === recursion ===

const DEEP = {
  factorial: 'const f = (n) => (n < 2 ? 1 : n * f(n - 1)); module.exports = () => f(5000);',
  function: 'function f(n) { return n === 0 ? 0 : 1 + f(n - 1); } module.exports = () => f(7000);',
  many: `function f(a, b, c, d, e) { const x = a + 1, y = x * 2, z = y + b, o = { x, y, z };
    return a === 0 ? o.z : 1 + f(a - 1, b, c, d, e); } module.exports = () => f(5000, 1, 2, 3, 4);`,
  mutual: `const even = (n) => (n === 0 ? true : odd(n - 1)), odd = (n) => (n === 0 ? false : even(n - 1));
    module.exports = () => even(6000);`,
  methods: 'class A { m(n) { return n === 0 ? 0 : 1 + this.m(n - 1); } } module.exports = () => new A().m(6000);',
  spread: 'const f = (n, ...rest) => (n === 0 ? rest.length : f(...[n - 1, ...rest])); module.exports = () => f(5000, 1, 2);',
  memo: `const memo = (f) => { const known = new Map(); return (...a) => { if (!known.has(a[0])) known.set(a[0], f(...a));
    return known.get(a[0]); }; }; const fib = memo((n) => (n < 2 ? n : fib(n - 1) + fib(n - 2)));
    module.exports = () => fib(2500);`,
  tree: `const grow = (n) => (n === 0 ? null : { next: grow(n - 1) }); const depth = (t) => (t ? 1 + depth(t.next) : 0);
    module.exports = () => depth(grow(5000));`,
  finally: `let left = 0; const f = (n) => { try { if (n === 0) throw new Error('end'); return f(n - 1); } finally { left += 1; } };
    module.exports = () => { try { f(5000); } catch (error) { return [error.message, left]; } };`,
  arguments: 'function f() { return arguments[0] === 0 ? arguments.length : f(arguments[0] - 1, arguments[1]); } module.exports = () => f(5000, 1);',
  closures: `const all = []; const f = (n) => { let v = n; all.push(() => v++); if (n > 0) f(n - 1); };
    module.exports = () => { f(5000); return [all[0](), all[0](), all[4999](), all[5000]()]; };`,
  generators: `const sum = (n) => (n === 0 ? 0 : n + sum(n - 1)); function* g() { yield sum(5000); yield* [sum(10)]; }
    module.exports = () => [...g()];`,
  async: `const sum = (n) => (n === 0 ? 0 : n + sum(n - 1));
    module.exports = async () => { const a = sum(5000); await null; return a + sum(5000); };`,
  catching: `const f = (n) => { try { return g(n); } catch (error) { throw new Error(error.message + n % 10); } };
    const g = (n) => { if (n === 0) throw new Error('x'); const r = f(n - 1); return r; };
    module.exports = () => { try { g(2500); } catch (error) { return error.message.length; } };`,
};
for (const [name, source] of Object.entries(DEEP)) same(`thousands of calls: ${name}`, source);

test('a recursion without an end is an error that can be caught, again and again', () => {
  const guest = new Guest(`let deepest = 0;
    const endless = (n) => { deepest = Math.max(deepest, n); return endless(n + 1) + 1; };
    module.exports = () => {
      const caught = [1, 2, 3].map(() => { try { endless(0); } catch (error) { return [error.name, error.message]; } });
      return { caught, deep: deepest > 5000, works: [3, 1, 2].sort((a, b) => a - b) };
    };`);
  const one = ['RangeError', 'Maximum call stack size exceeded'];
  assert.deepEqual(guest.call({}).result, { caught: [one, one, one], deep: true, works: [1, 2, 3] });
  const { error } = new Guest('const f = () => f() + 1; module.exports = () => f();').call({});
  assert.equal(error.error, 'RangeError');
});

test('a recursion takes no more than little memory allows', () => {
  const guest = new Guest('const f = (n) => f(n + 1) + 1; module.exports = () => { try { f(0); } catch (e) { return e.name; } };', {
    memoryPages: 32,
  });
  assert.equal(guest.call({}).result, 'RangeError');
});

// === what universal modules and old code look at ===

same(
  'the last match of a pattern',
  `module.exports = () => {
    const seen = [];
    const look = () => seen.push([RegExp.$1, RegExp.$2, RegExp.$9, RegExp.lastMatch, RegExp['$&'], RegExp.leftContext,
      RegExp.rightContext, RegExp['$\`'], RegExp["$'"], RegExp.lastParen, RegExp['$+'], RegExp.input, RegExp.$_]);
    /(\\d+)-(\\d+)/.test('on 12-34 or'); look();
    'aXbX'.replace(/(X)/g, '-'); look();
    /(nothing)/.exec('none'); look();
    'ä€😀b'.match(/(😀)(x)?/u); look();
    'k=v'.split(/=/); look();
    RegExp.$1 = 'ignored'; look();
    return seen;
  };`,
);
same(
  'a weak reference lives to the end of its job',
  'module.exports = async () => [new WeakRef({ a: 1 }).deref()?.a, await Promise.resolve(new WeakRef([2]).deref()[0])];',
);
test('weak references do not keep for ever', () => {
  const guest = new Guest(
    `module.exports = async () => {
      for (let i = 0; i < 200; i++) {
        new WeakRef({ bytes: new Uint8Array(1e6) });
        await new Promise((done) => setTimeout(done, 1));
      }
      return 'done';
    };`,
    { memoryPages: 800 },
  );
  assert.equal(guest.call({}).result, 'done');
});
same(
  'the global object by its names',
  'const root = typeof globalThis !== "undefined" ? globalThis : global; module.exports = () => [typeof root, typeof global, typeof window, global === globalThis];',
);

test('the console shows URLs and promises', () => {
  const shown = [
    'new URL("https://u:p@h.example:8080/p?q=1&r=%20#f")',
    '{ url: new URL("http://a/") }',
    'new URLSearchParams("a=1&b=2")',
    'new URLSearchParams()',
    '({ get a() { return 1; }, set a(v) {}, get b() { return 1; } })',
    'new (class Kept { get a() { return 1; } b = 2 })()',
  ];
  for (const value of shown) {
    const guest = new Guest(`module.exports = () => console.log(${value});`);
    guest.call({});
    assert.equal(guest.log, `${inspect(new Function(`return ${value}`)())}\n`, value);
  }
  // Tests of Node.js have promises of their own.
  const guest = new Guest(
    'module.exports = () => console.log(Promise.resolve(1), new Promise(() => {}), { p: Promise.resolve([1]) });',
  );
  guest.call({});
  assert.equal(guest.log, 'Promise { 1 } Promise { <pending> } { p: Promise { [ 1 ] } }\n');
});

// === what is told at deploy ===

function warns(name, source, expected, options) {
  test(name, () => {
    const { warnings, error } = new Guest(source, { file: 'f.js', ...options });
    assert.equal(error, undefined);
    assert.equal(warnings.length, expected.length, warnings.join('\n'));
    expected.forEach((begin, at) => assert.match(warnings[at], begin));
  });
}

const result = ';\nmodule.exports = () => 1;';
warns('nothing to tell', `const a = new Map(), d = new Date(0), s = "x".toUpperCase()${result}`, []);
for (const read of ['Date.now()', 'new Date()', 'Date()', 'performance.now()', 'new Date().getTime()'])
  warns(`the clock at the top level: ${read}`, `const a = 1;\nconst t = ${read}${result}`, [
    /^f\.js:2:\d+: the clock is read while the file is loaded.* read it in the handler$/,
  ]);
for (const read of ['Math.random()', 'crypto.randomUUID()', 'crypto.getRandomValues(new Uint8Array(2))'])
  warns(`chance at the top level: ${read}`, `const t = ${read}${result}`, [/^f\.js:1:\d+: a random value is drawn/]);
const secret = { secrets: ['KEY'], deployEnv: { LEVEL: 'debug' } };
for (const read of ['process.env.KEY', 'process.env["KEY"]', '"KEY" in process.env', '(({ KEY }) => KEY)(process.env)'])
  warns(`a secret at the top level: ${read}`, `const level = process.env.LEVEL;\nconst t = ${read}${result}`, [
    /^f\.js:2:\d+: the secret KEY is read .* Read it in the handler$/,
  ], secret);
warns('a secret in the handler', 'module.exports = () => process.env.KEY', [], secret);
warns('a timer left over', `const ready = new Promise((done) => setTimeout(done, 10))${result}`, [
  /^f\.js:1:\d+: a timer that is started while the file is loaded has not ended then/,
]);
warns('a timer that nobody waits for', `setInterval(() => {}, 10).unref()${result}`, []);
warns('a timer that is awaited', 'await new Promise((done) => setTimeout(done, 10));\nexport default () => 1;', []);
warns('sorted by code points', `const sorted = ["a", "B"].sort((a, b) => a.localeCompare(b))${result}`, [
  /^f\.js:1:\d+: localeCompare compares by code points/,
]);
warns('many', `${Array.from({ length: 14 }, (_, at) => `const t${at} = Date.now();`).join('\n')}${result}`, [
  ...Array.from({ length: 10 }, () => /the clock/),
  /^and 4 more like these$/,
]);

test('a call that waits for a timer of the top level is told which', () => {
  const guest = new Guest(
    'const ready = new Promise((done) => setTimeout(done, 10));\nmodule.exports = async () => { await ready; };',
  );
  assert.match(guest.call({}).error.message, /started at index\.js:1:\d+ does not run in calls$/);
});

test('plain variables are there while a file is loaded, secrets are not', () => {
  const guest = new Guest(
    `const early = { level: process.env.LEVEL, key: process.env.KEY ?? 'none', names: Object.keys(process.env) };
     module.exports = () => ({ early, level: process.env.LEVEL, key: process.env.KEY });`,
    { deployEnv: { LEVEL: 'debug' }, secrets: ['KEY'], env: { LEVEL: 'debug', KEY: 'hidden' } },
  );
  assert.deepEqual(guest.call({}).result, {
    early: { level: 'debug', key: 'none', names: ['LEVEL'] },
    level: 'debug',
    key: 'hidden',
  });
  assert.ok(!guest.snapshot.includes('hidden'));
});

test('what depends on a language is told once in a call', () => {
  const guest = new Guest(
    `module.exports = () => [["b", "a"].sort((a, b) => a.localeCompare(b)), (1.5).toLocaleString(),
      new Date(0).toLocaleDateString("de"), "I".toLocaleLowerCase("tr"), "I".toLocaleLowerCase(), [1, 2].toLocaleString()];`,
  );
  for (let call = 0; call < 2; call++) {
    guest.call({});
    for (const name of ['localeCompare', 'toLocaleString', 'toLocaleDateString', 'toLocaleLowerCase'])
      assert.equal(guest.log.split(`: ${name} `).length, 2, `${name}: ${guest.log}`);
    assert.match(guest.log, /^note: index\.js:1:\d+: localeCompare compares by code points/);
  }
});
