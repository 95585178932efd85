// The place of the handler, and the kind of source that a script is.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

function check(name, source, params, result, options) {
  test(name, () => {
    const guest = new Guest(source, options);
    assert.equal(guest.error, undefined);
    assert.deepEqual(guest.call(params).result, result);
  });
}

function refused(name, source, expected, options) {
  test(name, () => {
    const { error } = new Guest(source, options);
    for (const [member, value] of Object.entries(expected)) {
      if (value instanceof RegExp) assert.match(error[member], value);
      else assert.equal(error[member], value, member);
    }
  });
}

const echo = 'env';

check(
  'module.exports is the handler',
  'module.exports = (params) => ({ got: params });',
  { a: 1 },
  { got: { a: 1 } },
);
check('module.exports.handler', 'module.exports = { handler: (params) => params.a };', { a: 2 }, 2);
check('exports.handler', 'exports.handler = async (params) => params.a;', { a: 3 }, 3);
check('a named export', 'exports.other = () => 1; exports.NAME = () => 2;', {}, 2, { handler: 'NAME' });
check('a named export of the file', 'exports.other = () => 1; exports.NAME = () => 2;', {}, 2, {
  handler: 'index.NAME',
});
check('the file as the handler', 'module.exports = () => 4;', {}, 4, { file: 'hello.js', handler: 'hello' });
const main = { file: 'main.js' };
const mains = 'exports.handler = () => 1; exports.main = () => 2;';
check('an export called like the file', 'exports.main = () => 3;', {}, 3, { ...main, handler: 'main' });
check('the same behind the name of the file', 'exports.main = () => 3;', {}, 3, { ...main, handler: 'main.main' });
check('the file goes before an export called like it', mains, {}, 1, { ...main, handler: 'main' });
check('the whole name is the export', mains, {}, 2, { ...main, handler: 'main.main' });
check('the same with the ending', mains, {}, 2, { ...main, handler: 'main.js.main' });
check('the file with its ending', mains, {}, 1, { ...main, handler: 'main.js' });
for (const handler of ['toString', 'main.toString', 'constructor']) {
  refused(
    `no ${handler} that is inherited`,
    'exports.a = () => 1; exports.b = 2;',
    { error: 'HandlerMissing', message: /^main\.js has no function '\w+'; it exports a, b$/ },
    { ...main, handler },
  );
}
refused(
  'a file that exports nothing of its own name',
  'exports.a = () => 1;',
  { message: "main.js exports neither a function nor a handler, and nothing called 'main'; it exports a; export a function, or an object with a function fetch" },
  { ...main, handler: 'main' },
);
check('export default', 'export default (params) => params.a;', { a: 5 }, 5);
check('export function handler', 'export async function handler(params) { return params.a; }', { a: 6 }, 6);
check('a named export of a module', 'export const other = 1; export function NAME() { return 7; }', {}, 7, {
  handler: 'index.NAME',
});
check('export default of an object', 'export default { handler: () => 8 };', {}, 8);
check('an ES module by its name', 'export default () => this === undefined;', {}, true, { file: 'index.mjs' });
check('an ES module on one line', 'const a = 9;export{a as b};export{f as default};function f(){return a}', {}, 9);
check(
  'an ES module by its top-level await',
  'const a = await 10; globalThis.f = () => a; export { f as default };\nfunction f() { return a; }',
  {},
  10,
);
check(
  'a script with export in a text',
  'const text = `\nexport default 1\n`;\nmodule.exports = () => text.length;',
  {},
  18,
);
check('a script by its name', 'module.exports = () => typeof require;', {}, 'function', { file: 'index.cjs' });
check(
  'the bare function form',
  'async (args) => { const r = await call("inner", { a: args.a }); return { out: r.result * args.c }; };',
  { a: 4, c: 6 },
  { out: 54 },
  { call: (name, params) => ({ result: params.a + 5 }) },
);
check('the bare function form without a semicolon, with comments', '// outer\nasync (args) => args.a // yes', { a: 1 }, 1);
check('a semicolon, and comments with semicolons behind it', 'args => args.a; // a; b;\n/* c; */\n// ', { a: 1 }, 1);
check(
  'a long banner, and a semicolon in the middle',
  `function f(args) { const a = args.a; ${'/'.repeat(5000)}\n${'// x \n'.repeat(500)} return a; }`,
  { a: 1 },
  1,
);
check('a function and nothing else', 'function (params) { return params.a; }', { a: 1 }, 1);
check(
  'the context comes first',
  'module.exports = function (context, params) { return [params.a, context.function]; };',
  { a: 1 },
  [1, 'tested'],
);
check(
  'the params come first',
  'module.exports = function (params, context) { return [params.a, context.function]; };',
  { a: 1 },
  [1, 'tested'],
);
check('ctx alone', 'module.exports = ctx => ctx.invocation_id;', {}, 'abc', {
  [echo]: { SERVERLEDGE_INVOCATION_ID: 'abc' },
});
check(
  'the context lists what it has',
  'module.exports = (params, context) => context;',
  {},
  { invocation_id: 'abc', function: 'tested', deadline_ms: 1700000000123, memory_mb: 96 },
  { env: { SERVERLEDGE_INVOCATION_ID: 'abc', SERVERLEDGE_DEADLINE_MS: '1700000000123', SERVERLEDGE_MEMORY_MB: '96' } },
);
check(
  'the context has the trace, if there is one',
  'module.exports = (params, context) => [context.traceparent, context.tracestate, context.deadline_ms];',
  {},
  ['00-1-2-01', null, 0],
  { env: { TRACEPARENT: '00-1-2-01' } },
);
check('a hashbang', '#!/usr/bin/env node\nmodule.exports = () => 1;', {}, 1);
check(
  'strict mode',
  '"use strict";\nmodule.exports = () => (function () { return this === undefined; })();',
  {},
  true,
);
check('a thenable', 'module.exports = () => ({ then(resolve) { resolve(11); } });', {}, 11);
check('a class cannot hide the exports', 'class A {}\nmodule.exports.handler = () => A.name;', {}, 'A');
check(
  'require("serverledge")',
  'const { call } = require("serverledge"); module.exports = async () => call("x", 1);',
  {},
  [1],
  { call: (_, params) => [params] },
);
check(
  'import from "serverledge"',
  'import { call } from "serverledge"; export default () => call("x", 2);',
  {},
  [2],
  { call: (_, params) => [params] },
);

refused('no handler', 'const a = 1;', { error: 'HandlerMissing', message: /index\.js exports neither/ });
refused(
  'no such export',
  'exports.a = () => 1;',
  { error: 'HandlerMissing', message: /no function 'b'/ },
  { handler: 'index.b' },
);
refused(
  'an export that is no function',
  'exports.b = 1;',
  { error: 'HandlerMissing', message: /'b' in index\.js cannot be called/ },
  { handler: 'b' },
);
refused('a syntax error on the first line', 'let = = 1;', { error: 'SyntaxError', line: 1, file: 'index.js' });
refused('a syntax error', 'let a = 1;\nlet b = ;\n', { error: 'SyntaxError', line: 2, column: 9, file: 'index.js' });
refused('a syntax error in a module', 'export default 1;\nlet b = ;\n', { error: 'SyntaxError', line: 2, column: 9 });
refused('a source that does not end', 'module.exports = () => {\n  f();', { error: 'SyntaxError', line: 2, column: 7 });
refused('a brace too many', 'module.exports = () => 1;\n}\n', { error: 'SyntaxError', line: 2, column: 1 });
refused('a brace too many behind a return', 'if (1) return;\n}\n', { error: 'SyntaxError' });
check('a return at the top level', 'module.exports = () => 1;\nreturn;', {}, 1);
refused('a throw', 'const a = 1;\nfunction f() {\n  throw new TypeError("no");\n}\nf();', {
  error: 'TypeError',
  message: 'no',
  line: 3,
  stack: /^TypeError: no\n {4}at f \(index\.js:3:\d+\)\n {4}at <anonymous> \(index\.js:5:\d+\)$/,
});
refused('a throw in a module', 'export default 1;\nnull.x;', { error: 'TypeError', line: 2 });
refused('an error with half a character', "throw new Error('a\\ud83d');", { error: 'Error', message: 'a\ufffd' });
refused('an error without end', "throw Object.assign(new Error('b'.repeat(1e6)), { name: 'c'.repeat(1e6) });", {
  error: /^c{128}\n…\nc{128}$/,
  message: /^b{4096}\n…\nb{4096}$/,
});
refused('what is thrown is no error', 'throw "text";', { error: 'string', message: 'text' });
refused('an await that does not end', 'await new Promise(() => {}); export default () => 1;', {
  error: 'UnresolvedPromise',
});
refused('an API of Node.js', 'const a = 1;\nconst fs = require("fs");', {
  error: 'UnresolvedImport',
  message: /"fs" is an API of Node\.js.*nodejs/,
  line: 2,
});
refused('an API of Node.js with its prefix', 'import net from "node:net";\nexport default () => 1;', {
  error: 'UnresolvedImport',
  message: /"node:net" is an API of Node\.js/,
  line: 1,
});
refused('a package', 'const a = 1;\n\nimport pad from "left-pad";\nexport default () => 1;', {
  error: 'UnresolvedImport',
  message: /package "left-pad".*bundle/,
  line: 3,
  column: 17,
});
refused('a file', 'module.exports = require("./other.js");', {
  error: 'UnresolvedImport',
  message: /file "\.\/other\.js".*bundle/,
  line: 1,
});
refused('a call at deploy', 'await call("x");\nexport default () => 1;', { error: 'CallError [call_refused]', line: 1 });

test('what is printed at deploy is its log', () => {
  const guest = new Guest('console.log("loading", { a: 1 }); module.exports = () => 1;');
  assert.equal(guest.deployLog, 'loading { a: 1 }\n');
  assert.equal(guest.call().result, 1);
  assert.equal(guest.log, '');
});

test('a timer of the deploy does not run in calls', () => {
  const guest = new Guest(
    'setInterval(() => console.log("tick"), 1); module.exports = () => new Promise((done) => setTimeout(done, 20, 1));',
  );
  assert.equal(guest.call().result, 1);
  assert.equal(guest.log, '');
});

test('a deploy waits for timers without waiting', () => {
  const guest = new Guest(
    'const a = await new Promise((done) => setTimeout(done, 1e6, 12)); export default () => a;',
  );
  assert.equal(guest.call().result, 12);
  assert.equal(guest.slept, 0);
});

test('deploys give the same snapshot', () => {
  const source =
    'const seen = new Map([[{}, Math.random()], [Date.now(), crypto.randomUUID()]]); module.exports = () => [...seen.values()];';
  const [a, b] = [new Guest(source, { env: { A: '1' } }), new Guest(source, { env: { B: '2' } })];
  assert.ok(a.snapshot.equals(b.snapshot));
});
