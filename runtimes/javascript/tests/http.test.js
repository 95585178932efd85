// Handlers that answer requests: what they are given and what goes back, in comparison with the same handler in Node.js, and
// with routers of npm, which are installed for that (npm and its registry are needed).
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

const PACKAGES = ['hono@4.13.19', 'itty-router@5.0.24', 'esbuild@0.28.2'];
const BUNDLING = [
  '--bundle',
  '--format=cjs',
  '--platform=browser',
  '--conditions=worker,browser',
  '--keep-names',
  '--target=es2023',
  '--log-level=error',
  '--define:process.env.NODE_ENV=process.env.NODE_ENV',
];

const serving = (body) => `module.exports = { async fetch(request, env, ctx) {\n${body}\n} };`;
const ask = (body, url, init, options) => new Guest(serving(body), options).fetch(url, init);

function evaluate(source) {
  const module = { exports: {} };
  new Function('module', 'exports', source)(module, module.exports);
  return module.exports;
}

// What Node.js answers, in the form of the guest.
async function inNode(app, url, { method = 'GET', headers = [], body } = {}) {
  const isSent = method !== 'GET' && method !== 'HEAD' && body !== undefined;
  const request = new Request(url, { method, headers, body: isSent ? Buffer.from(body) : undefined });
  const response = await app.fetch(request, {}, { waitUntil() {}, passThroughOnException() {} });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: [...response.headers], body: bytes };
}

function same(name, source, requests) {
  test(name, async () => {
    const guest = new Guest(source);
    assert.equal(guest.error, undefined, JSON.stringify(guest.error));
    assert.equal(guest.interface, 'http');
    for (const [url, init] of requests) {
      assert.deepEqual(guest.fetch(url, init), await inNode(evaluate(source), url, init), `${init?.method} ${url}`);
    }
  });
}

// === requests and responses ===

same(
  'a handler sees the request as it is',
  serving(`
  const url = new URL(request.url);
  const seen = [request.method, url.pathname, url.search, url.host, [...request.headers], await request.text()];
  return Response.json(seen, { status: 201, headers: { 'x-seen': 'yes' } });`),
  [
    ['http://h/'],
    ['https://h.example:81/a%20b/c?d=e&d=%C3%A9'],
    ['http://h/', { method: 'HEAD', headers: [['a', '1']] }],
    ['http://h/x', { method: 'POST', headers: [['content-type', 'text/plain'], ['X-A', '1'], ['x-a', '2'], ['b', 'é']], body: 'é☃' }],
    ['http://h/x', { method: 'PUT', body: '{"a":1}' }],
    ['http://h/x', { method: 'DELETE' }],
    ['http://h/x', { method: 'OPTIONS' }],
    ['http://h/x', { method: 'PROPFIND', body: 'x' }],
  ],
);
same('bodies are bytes', serving(`return new Response(new Uint8Array(await request.arrayBuffer()).reverse());`), [
  ['http://h/', { method: 'POST', body: Buffer.from([0, 255, 128, 10, 13]) }],
  ['http://h/', { method: 'POST', body: Buffer.alloc(200_000, 7) }],
  ['http://h/', { method: 'POST' }],
]);
same(
  'cookies are several headers, others are joined',
  serving(`const headers = new Headers([['Set-Cookie', 'a=1; Path=/'], ['vary', 'a'], ['set-cookie', 'b=2'], ['Vary', 'b']]);
  return new Response('x', { headers });`),
  [['http://h/']],
);
same(
  'responses without a body',
  serving(`const status = Number(new URL(request.url).searchParams.get('status'));
  return status === 302 ? Response.redirect('http://h/else', 302) : new Response(null, { status });`),
  [200, 204, 304, 302, 404, 500].map((status) => [`http://h/?status=${status}`]),
);
same(
  'a response without async',
  'module.exports = { fetch: (request) => new Response(request.url) };',
  [['http://h/a']],
);
same(
  'a class with a method fetch',
  'class App { constructor() { this.greeting = "hi"; } fetch() { return new Response(this.greeting); } }\nmodule.exports = new App();',
  [['http://h/']],
);

test('a request of a method that no client may send by itself', () => {
  const body = 'return new Response(request.method + (await request.text()));';
  assert.equal(ask(body, 'http://h/', { method: 'TRACE', body: 'x' }).body.toString(), 'TRACE');
});

test('headers are bytes', () => {
  const reply = ask('return new Response(null, { headers: { a: request.headers.get("a") } });', 'http://h/', {
    headers: [['a', 'caf\u00e9\u00ff']],
  });
  assert.deepEqual(reply.headers, [['a', 'caf\u00e9\u00ff']]);
});

// === what else a handler is given ===

test('variables and the context', () => {
  const body = `return Response.json([env.KEY, env.SECRET, process.env.KEY, Object.keys(env).includes('KEY'),
    ctx.invocation_id, ctx.function, typeof ctx.waitUntil, ctx.passThroughOnException()]);`;
  const options = { env: { KEY: 'k', SECRET: 's', SERVERLEDGE_INVOCATION_ID: 'id' }, secrets: ['SECRET'], name: 'f' };
  const reply = ask(body, 'http://h/', {}, options);
  assert.deepEqual(JSON.parse(reply.body), ['k', 's', 'k', true, 'id', 'f', 'function', null]);
});

test('what is waited for runs to its end', () => {
  const guest = new Guest(
    serving(`
    const later = async () => { await new Promise((done) => setTimeout(done, 50)); console.log('later'); ctx.waitUntil(last()); };
    const last = async () => { await null; console.log('last'); };
    ctx.waitUntil(later());
    ctx.waitUntil(1);
    setTimeout(() => console.log('never'), 1000);
    console.log('answered');
    return new Response('x');`),
  );
  assert.equal(guest.fetch('http://h/').body.toString(), 'x');
  assert.deepEqual(guest.log.trim().split('\n'), ['answered', 'later', 'last']);
  assert.equal(guest.slept, 50);
});

test('failures of what is waited for are in the log', () => {
  const guest = new Guest(
    serving(`
    ctx.waitUntil(Promise.reject(new Error('first')));
    ctx.waitUntil((async () => { await null; throw new TypeError('second'); })());
    ctx.waitUntil((async () => { Promise.reject(new Error('third')); await new Promise((done) => setTimeout(done, 1)); console.log('done'); })());
    return new Response('x', { status: 202 });`),
  );
  assert.equal(guest.fetch('http://h/').status, 202);
  for (const line of ['not caught: Error: first', 'not caught: TypeError: second', 'not caught: Error: third', 'done'])
    assert.ok(guest.log.includes(line), guest.log);
});

test('what never settles is told, and the response is given', () => {
  const guest = new Guest(serving('ctx.waitUntil(new Promise(() => {})); return new Response("x");'));
  assert.equal(guest.fetch('http://h/').body.toString(), 'x');
  assert.match(guest.log, /UnresolvedPromise/);
});

// === failures ===

function fails(name, body, error, message) {
  test(name, () => {
    const reply = ask(body, 'http://h/');
    assert.equal(reply.error?.error, error, JSON.stringify(reply));
    assert.match(reply.error.message, message);
    assert.doesNotMatch(reply.error.stack, /serverledge:/);
  });
}

fails('a throw', 'throw new RangeError("no");', 'RangeError', /^no$/);
fails('no response', 'return undefined;', 'TypeError', /^fetch has to give a Response, and gave undefined$/);
fails('another object', 'return { status: 200 };', 'TypeError', /gave another object$/);
fails('Response.error()', 'return Response.error();', 'TypeError', /cannot be sent$/);
fails('a body that was read', 'const r = new Response("x"); await r.text(); return r;', 'TypeError', /./);
fails('a promise without an end', 'await new Promise(() => {});', 'UnresolvedPromise', /never settle/);

// === which handler it is ===

function loads(source, expected, options = {}) {
  const guest = new Guest(source, options);
  assert.equal(guest.error, undefined, `${source}: ${JSON.stringify(guest.error)}`);
  assert.equal(guest.interface, expected, source);
  return guest;
}

test('which exports answer requests', () => {
  for (const source of [
    'export default { fetch() { return new Response("ok"); } };',
    'export default { fetch: async () => new Response("ok"), other: 1 };',
    'const app = { fetch: () => new Response("ok") }; export { app as default };',
    'export function fetch() { return new Response("ok"); }',
    'module.exports = { fetch() { return new Response("ok"); } };',
    'exports.fetch = () => new Response("ok");',
    'exports.default = { fetch() { return new Response("ok"); } };',
    'module.exports = { default: { default: { fetch: () => new Response("ok") } } };',
    'const any = new Proxy({}, { get: () => () => 1 });\nexport default { __proto__: any, fetch: () => new Response("ok") };',
    'const any = new Proxy({}, { get: () => () => 1 });\nmodule.exports = { __proto__: any, fetch: () => new Response("ok") };',
  ]) {
    assert.equal(loads(source, 'http').fetch('http://h/').body?.toString(), 'ok', source);
  }
});

test('a handler by name comes first', () => {
  const both = 'export const handler = () => "named"; export default { fetch() { return new Response("ok"); } };';
  assert.equal(loads(both, undefined).call().result, 'named');
  const inside = 'module.exports = { handler: () => "named", fetch() { return new Response("ok"); } };';
  assert.equal(loads(inside, undefined).call().result, 'named');
  const callable = 'const f = () => "called"; f.fetch = () => new Response("ok"); module.exports = f;';
  assert.equal(loads(callable, undefined).call().result, 'called');
  const other = 'exports.other = () => "other"; exports.app = { fetch: () => new Response("app") }; exports.fetch = () => new Response("ok");';
  assert.equal(loads(other, undefined, { handler: 'index.other' }).call().result, 'other');
  assert.equal(loads(other, 'http', { handler: 'index.app' }).fetch('http://h/').body.toString(), 'app');
  assert.equal(loads(other, 'http').fetch('http://h/').body.toString(), 'ok');
});

test('what has no function fetch is refused', () => {
  const { error } = new Guest('export default { fetch: 1, a() {} };');
  assert.equal(error.error, 'HandlerMissing');
  assert.match(error.message, /exports neither a function nor a handler; it exports default, fetch, a; export a function, or an object with a function fetch$/);
  const misspelt = new Guest('export default { fetsh() {} };').error;
  assert.match(misspelt.message, /it exports default, fetsh; export a function, or an object with a function fetch$/);
});

test('what is waited for is waited for, though the handler fails', () => {
  const guest = new Guest(serving(`ctx.waitUntil(new Promise((done) => setTimeout(done, 20)).then(() => console.log('later')));
    throw new RangeError('none');`));
  assert.equal(guest.fetch('http://h/').error.error, 'RangeError');
  assert.match(guest.log, /none[^]*later/);
  const endless = new Guest(serving('ctx.waitUntil(new Promise(() => {})); throw new RangeError("none");'));
  assert.equal(endless.fetch('http://h/').error.error, 'UnresolvedPromise');
  assert.match(endless.log, /RangeError: none/);
});

test('warnings and the interface are told together', () => {
  const guest = new Guest(`const at = Date.now();\n${serving('return new Response(String(at));')}`);
  assert.equal(guest.interface, 'http');
  assert.match(guest.warnings[0], /the clock is read while the file is loaded/);
});

test('calls see nothing of each other', () => {
  const guest = new Guest(`let calls = 0;\n${serving('calls += 1; ctx.calls = (ctx.calls ?? 0) + 1; return Response.json([calls, ctx.calls]);')}`);
  for (let n = 0; n < 3; n++) assert.equal(guest.fetch('http://h/').body.toString(), '[1,1]');
});

// === routers ===

const APPS = {
  hono: `
    import { Hono } from 'hono';
    import { cors } from 'hono/cors';
    import { setCookie } from 'hono/cookie';
    const app = new Hono();
    app.use('/api/*', cors({ origin: 'https://example.org' }));
    app.get('/', (c) => c.text('Hello, é☃'));
    app.get('/api/items/:id{[0-9]+}', (c) => c.json({ id: Number(c.req.param('id')), page: c.req.query('page') ?? null }));
    app.post('/api/items', async (c) => c.json(await c.req.json(), 201, { location: '/api/items/1' }));
    app.get('/page', (c) => c.html('<p>page</p>'));
    app.get('/cookies', (c) => { setCookie(c, 'a', '1', { httpOnly: true }); setCookie(c, 'b', 'x y'); return c.body(null, 204); });
    app.get('/away', (c) => c.redirect('/page'));
    app.get('/bytes', (c) => c.body(new Uint8Array([0, 255, 10])));
    app.get('/broken', () => { throw new Error('broken'); });
    app.onError((error, c) => c.json({ error: error.message }, 500));
    app.notFound((c) => c.text('nothing here', 404));
    export default app;`,
  'itty-router': `
    import { AutoRouter, cors, error } from 'itty-router';
    const { preflight, corsify } = cors({ origin: 'https://example.org' });
    const router = AutoRouter({ before: [preflight], finally: [corsify] });
    router
      .get('/', () => new Response('Hello, é☃'))
      .get('/api/items/:id', ({ id, query }) => ({ id: Number(id), page: query.page ?? null }))
      .post('/api/items', async (request) => Response.json(await request.json(), { status: 201 }))
      .get('/page', () => new Response('<p>page</p>', { headers: { 'content-type': 'text/html' } }))
      .get('/bytes', () => new Response(new Uint8Array([0, 255, 10])))
      .get('/broken', () => { throw new Error('broken'); })
      .get('/refused', () => error(403, 'not you'));
    export default router;`,
};
const ROUTED = [
  ['http://h/'],
  ['http://h/', { method: 'HEAD' }],
  ['http://h/api/items/7?page=2', { headers: [['origin', 'https://example.org']] }],
  ['http://h/api/items/x'],
  ['http://h/api/items', { method: 'POST', headers: [['content-type', 'application/json']], body: '{"a":[1,"é"]}' }],
  ['http://h/api/items', { method: 'OPTIONS', headers: [['origin', 'https://example.org'], ['access-control-request-method', 'POST']] }],
  ['http://h/page'],
  ['http://h/cookies'],
  ['http://h/away'],
  ['http://h/bytes'],
  ['http://h/broken'],
  ['http://h/refused'],
  ['http://h/none'],
  ['http://h/', { method: 'DELETE' }],
];

test('routers of npm answer as in Node.js', async () => {
  const given = process.env.SERVERLEDGE_TEST_PACKAGES;
  const folder = given ?? fs.mkdtempSync(path.join(os.tmpdir(), 'serverledge-routers-'));
  try {
    if (given === undefined) {
      fs.writeFileSync(path.join(folder, 'package.json'), '{"private":true}');
      const install = ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...PACKAGES];
      execFileSync('npm', install, { cwd: folder, stdio: 'pipe' });
    }
    for (const [name, source] of Object.entries(APPS)) {
      const entry = path.join(folder, `${name}.mjs`);
      fs.writeFileSync(entry, source);
      const esbuild = path.join(folder, 'node_modules', '.bin', 'esbuild');
      const bundle = execFileSync(esbuild, [entry, ...BUNDLING], { encoding: 'utf8', maxBuffer: 1 << 28 });
      const guest = loads(bundle, 'http', { file: `${name}.js` });
      const app = evaluate(bundle).default;
      for (const [url, init] of ROUTED) {
        assert.deepEqual(guest.fetch(url, init), await inNode(app, url, init), `${name}: ${init?.method ?? 'GET'} ${url}`);
      }
    }
  } finally {
    if (given === undefined) fs.rmSync(folder, { recursive: true, force: true });
  }
});

test('a GET in lower case has no body', () => {
  const guest = new Guest('export default { fetch: async (r) => new Response(`${r.method} ${r.body}`) };');
  assert.equal(guest.fetch('http://localhost/', { method: 'get', body: 'b' }).body.toString(), 'GET null');
});

test('a large body takes no more memory than it has', () => {
  const guest = new Guest('export default { fetch: () => new Response(new Uint8Array(36 << 20)) };', { memoryPages: 2048 });
  const { error, body } = guest.fetch('http://localhost/');
  assert.equal(error, undefined, JSON.stringify(error));
  assert.equal(body.length, 36 << 20);
});

test('a call that replaces a large buffer of the file has its memory', () => {
  const source = 'let b = new Uint8Array(40 << 20); export default () => { b = null; b = new Uint8Array(40 << 20); return b.length; };';
  const guest = new Guest(source, { memoryPages: 1024 });
  assert.deepEqual(guest.call().result, 40 << 20);
});
