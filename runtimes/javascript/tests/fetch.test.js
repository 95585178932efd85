// fetch, Headers, Request and Response: without a network they give what Node.js gives, and with one what the host's side is
// told and answers.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

const handler = (body) => `module.exports = async (params) => {\n${body}\n};`;
const run = (body, options) => new Guest(handler(body), options).call({});
const told = (body) =>
  `const told = async (make) => { try { return await make(); } catch (error) { return error.name; } };\n${body}`;

// The same body here and in Node.js. Of errors only the names are compared.
function same(name, body) {
  test(name, async () => {
    const expected = await new Function(`return (async () => {\n${told(body)}\n})();`)();
    const reply = run(told(body));
    assert.deepEqual(reply.result, JSON.parse(JSON.stringify(expected)), JSON.stringify(reply));
  });
}

// === without a network ===

same(
  'headers are normalised, joined and sorted',
  `const headers = new Headers([['X-B', ' 2 '], ['x-a', '1'], ['X-b', '3']]);
  headers.append('Set-Cookie', 'a=1');
  headers.append('Set-Cookie', 'b=2');
  headers.set('Zed', '\\t9\\r\\n');
  const seen = [];
  headers.forEach((value, name, all) => seen.push([name, value, all === headers]));
  return [[...headers], [...headers.keys()], [...headers.values()], seen, headers.get('x-b'), headers.get('SET-COOKIE'),
    headers.getSetCookie(), headers.has('ZED'), headers.has('none'), headers.get('none'), String(headers)];`,
);
same(
  'headers are set and deleted',
  `const headers = new Headers({ a: 1, b: 2, c: undefined });
  headers.append('A', 'x'); headers.append('d', 4); headers.set('a', 'only'); headers.delete('B');
  return [[...headers], [...new Headers(headers)], [...new Headers(new Map([['k', 'v']]))], [...new Headers()]];`,
);
same('headers that are added while they are looked at are seen', `
  const headers = new Headers({ a: 1 }); const seen = [];
  for (const [name] of headers) { seen.push(name); if (seen.length < 4) headers.set('z' + seen.length, 'x'); }
  return seen;`);
same(
  'names and values of headers are checked',
  `const headers = new Headers();
  const bad = [['', 'x'], ['a b', 'x'], ['a:', 'x'], ['ä', 'x'], ['a', 'x\\ny'], ['a', 'x\\0'], ['a', '☃']];
  return [await Promise.all(bad.map(([name, value]) => told(() => headers.append(name, value)))),
    await Promise.all([null, 1, 'text', [['a']], [['a', 'b', 'c']], [1], { 'a b': 1 }, { [Symbol('s')]: 1 }]
      .map((init) => told(() => [...new Headers(init)]))),
    await told(() => headers.get('a b')), await told(() => { headers.set('a', 'ü'); return headers.get('a'); })];`,
);
same(
  'requests',
  `const facts = (request) => [request.url, request.method, [...request.headers], request.redirect, request.bodyUsed];
  const first = new Request('http://h/a?b#c', { method: 'post', headers: { A: '1' }, body: 'é', redirect: 'manual' });
  const copy = first.clone();
  const second = new Request(first, { headers: { B: '2' } });
  return [facts(first), facts(second), await copy.text(), await second.text(), second.bodyUsed, await told(() => second.text()),
    await told(() => second.clone()), await told(() => new Request(second)), String(first),
    facts(new Request(new URL('HTTP://H:80/x y'))), facts(new Request('http://h', { method: 'patch' }))];`,
);
same(
  'requests are checked',
  `const make = (...all) => told(() => new Request(...all).method);
  return Promise.all([make('/relative'), make('http://u:p@h/'), make('http://h', { method: 'a b' }), make('http://h', { method: 'TRACE' }),
    make('http://h', { body: 'x' }), make('http://h', { method: 'HEAD', body: '' }), make('http://h', { redirect: 'never' }),
    make('http://h', { method: '' }), make('http://h', { headers: { 'a b': 1 } }), make('http://h', { body: null }), make()]);`,
);
same(
  'responses',
  `const facts = (response) => [response.status, response.ok, response.statusText, response.type, response.url,
    response.redirected, [...response.headers], response.bodyUsed];
  return [facts(new Response()), facts(new Response('x', { status: 404, statusText: 'Gone fishing', headers: { A: 1 } })),
    facts(Response.json({ a: 1 }, { status: 201 })), await Response.json([1, 'é']).text(), facts(Response.error()),
    facts(Response.redirect('http://h/a b', 307)), facts(new Response(null, { status: 204 })), String(new Response())];`,
);
same(
  'responses are checked',
  `const make = (make) => told(() => make().status);
  return Promise.all([make(() => new Response('', { status: 199 })), make(() => new Response('', { status: 600 })),
    make(() => new Response('x', { status: 204 })), make(() => new Response('', { statusText: 'a\\nb' })),
    make(() => Response.json(undefined)), make(() => Response.json(1n)), make(() => Response.redirect('/a')),
    make(() => Response.redirect('http://h', 200)), make(() => { Response.error().headers.set('a', 'b'); }),
    make(() => { const circle = {}; circle.circle = circle; return Response.json(circle); })]);`,
);
same(
  'bodies have their types, and are read once',
  `const body = (value) => [new Response(value).headers.get('content-type'), new Response(value).text()];
  const all = ['é\\ud800', new URLSearchParams({ a: '1 2', b: 'é' }), new Uint8Array([0xef, 0xbb, 0xbf, 0x41, 0xff]),
    new Uint16Array([0x4141]).subarray(0), new ArrayBuffer(2), 12, { a: 1 }, '', null];
  const texts = await Promise.all(all.flatMap(body));
  const bytes = new Uint8Array([1, 2, 3]);
  const kept = new Response(bytes);
  bytes[0] = 9;
  const once = new Response('{"a":[1]}');
  const copy = once.clone();
  return [texts, [...new Uint8Array(await kept.arrayBuffer())], kept.bodyUsed, await once.json(), once.bodyUsed, await copy.text(),
    await told(() => once.text()), await told(() => once.clone()), await told(() => new Response('{').json()),
    await told(() => new Response().json()), await new Response().text(), await new Response().text()];`,
);
test('bytes', () => {
  assert.deepEqual(run('return [...(await new Response("é").bytes())];').result, [195, 169]);
});
test('a body is no stream', () => {
  assert.deepEqual(run('return [new Response("x").body, new Request("http://h").body];').result, [null, null]);
});

// === with one ===

// The requests that the host was told, with their bodies as text, and the result.
function exchange(body, ...responses) {
  const sent = [];
  const send = ({ body: bytes, ...head }) => {
    sent.push({ ...head, headers: Object.fromEntries(head.headers), body: bytes.toString() });
    return responses[Math.min(sent.length, responses.length) - 1];
  };
  const reply = run(body, { send });
  return { sent, ...reply };
}

const OWN = { accept: '*/*', 'user-agent': 'serverledge' };

test('a request goes out and its response comes back', () => {
  const { sent, result } = exchange(
    `const response = await fetch('https://api.example.org/a?b=1#c', { method: 'PUT', headers: { 'X-Own': 'ü' }, body: 'é' });
    return [response.status, response.ok, response.url, response.type, response.redirected, [...response.headers],
      response.headers.getSetCookie(), await response.json(), response.bodyUsed];`,
    { status: 201, headers: [['x-tea', 'green'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']], body: '{"a":"☃"}' },
  );
  const headers = { ...OWN, 'content-type': 'text/plain;charset=UTF-8', 'x-own': 'ü' };
  assert.deepEqual(sent, [{ method: 'PUT', url: 'https://api.example.org/a?b=1', headers, body: 'é' }]);
  const cookies = ['a=1', 'b=2'];
  const received = [...cookies.map((cookie) => ['set-cookie', cookie]), ['x-tea', 'green']];
  const url = 'https://api.example.org/a?b=1';
  assert.deepEqual(result, [201, true, url, 'basic', false, received, cookies, { a: '☃' }, true]);
});

test('own headers win over those that every request has', () => {
  const { sent } = exchange(`await fetch('http://h', { headers: { accept: 'text/html', 'user-agent': 'me' } });`, {});
  assert.deepEqual(sent[0].headers, { accept: 'text/html', 'user-agent': 'me' });
  assert.equal(sent[0].url, 'http://h/');
});

test('a POST without a body says so', () => {
  const { sent } = exchange(`await fetch('http://h', { method: 'POST' });`, {});
  assert.equal(sent[0].headers['content-length'], '0');
});

test('large bodies pass both ways', () => {
  const large = 'x'.repeat(3_000_000);
  const { sent, result } = exchange(
    `const response = await fetch('http://h', { method: 'POST', body: 'y'.repeat(2_000_000) }); return (await response.text()).length;`,
    { body: large },
  );
  assert.equal(result, 3_000_000);
  assert.equal(sent[0].body.length, 2_000_000);
});

test('a response of bytes is kept as it is', () => {
  const body = Buffer.from(Array.from({ length: 5000 }, (_, at) => at % 256));
  const { result } = exchange(`return [...new Uint8Array(await (await fetch('http://h')).arrayBuffer())];`, { body });
  assert.deepEqual(result, [...body]);
});

test('a fault is the cause of a TypeError', () => {
  const message = 'https://h is not among the hosts that the function may reach (--allow-host)';
  const { result } = exchange(
    `return fetch('https://h').catch((error) => [error instanceof TypeError, error.message, error.cause.code, error.cause.message]);`,
    { error: 'outbound_host_not_allowed', message },
  );
  assert.deepEqual(result, [true, 'fetch failed', 'outbound_host_not_allowed', message]);
  const { error } = exchange(`  return fetch('https://h');`, { error: 'outbound_host_not_allowed', message });
  assert.equal(error.error, 'TypeError');
  assert.match(error.stack, /fetch failed[^]*index\.js:2:\d+[^]*not among the hosts/);
  assert.doesNotMatch(error.stack, /serverledge:/);
});

const to = (location, status = 302) => ({ status, headers: [['location', location]] });

test('redirects are followed', () => {
  const { sent, result } = exchange(
    `const response = await fetch('http://h/a/b'); return [response.url, response.redirected, await response.text()];`,
    to('../c?d', 301),
    to('//other/e', 308),
    { body: 'there' },
  );
  assert.deepEqual(sent.map(({ url }) => url), ['http://h/a/b', 'http://h/c?d', 'http://other/e']);
  assert.deepEqual(result, ['http://other/e', true, 'there']);
});

test('redirects change the method as the standard says', () => {
  for (const [status, method, expected] of [
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [303, 'POST', 'GET'],
    [303, 'DELETE', 'GET'],
    [303, 'HEAD', 'HEAD'],
    [301, 'PUT', 'PUT'],
    [302, 'DELETE', 'DELETE'],
    [307, 'POST', 'POST'],
    [308, 'POST', 'POST'],
  ]) {
    const body = method === 'HEAD' ? '' : ", body: 'text'";
    const { sent } = exchange(`await fetch('http://h', { method: '${method}'${body} });`, to('/b', status), {});
    assert.equal(sent[1].method, expected, `${status} ${method}`);
    const kept = expected === method && method !== 'HEAD';
    assert.equal(sent[1].body, kept ? 'text' : '', `${status} ${method}`);
    assert.equal('content-type' in sent[1].headers, kept, `${status} ${method}`);
  }
});

test('what is meant for one origin stays there', () => {
  const headers = "{ headers: { Authorization: 'secret', Cookie: 'a=1', 'X-Own': '1' } }";
  for (const [location, isKept] of [
    ['/b', true],
    ['http://h:80/b', true],
    ['http://h:81/b', false],
    ['https://h/b', false],
    ['http://other/b', false],
  ]) {
    const { sent } = exchange(`await fetch('http://h/a', ${headers});`, to(location), {});
    assert.equal('authorization' in sent[1].headers, isKept, location);
    assert.equal('cookie' in sent[1].headers, isKept, location);
    assert.equal(sent[1].headers['x-own'], '1');
  }
});

test('redirects can be refused, and left alone', () => {
  const code = '.catch((error) => error.cause.code)';
  assert.equal(exchange(`return fetch('http://h', { redirect: 'error' })${code};`, to('/b')).result, 'redirect_refused');
  const manual = `const response = await fetch('http://h', { redirect: 'manual' });
    return [response.status, response.headers.get('location'), response.redirected];`;
  assert.deepEqual(exchange(manual, to('/b')).result, [302, '/b', false]);
  for (const location of ['file:///etc/passwd', 'data:,x', 'http://']) {
    assert.equal(exchange(`return fetch('http://h')${code};`, to(location)).result, 'redirect_invalid', location);
  }
  assert.equal(exchange(`return (await fetch('http://h')).status;`, { status: 302 }).result, 302);
  const { sent, result } = exchange(`return fetch('http://h')${code};`, to('/again'));
  assert.deepEqual([sent.length, result], [21, 'redirect_too_many']);
});

test('a request that was made before is sent, and its body is used then', () => {
  const { sent, result } = exchange(
    `const request = new Request('http://h', { method: 'POST', body: 'x' });
    const { status } = await fetch(request);
    return [status, request.bodyUsed, await fetch(request).catch((error) => error.name)];`,
    { status: 500 },
  );
  assert.deepEqual(result, [500, true, 'TypeError']);
  assert.equal(sent.length, 1);
});

test('a signal that is aborted sends nothing', () => {
  const { sent, result } = exchange(
    `const signal = { aborted: true };
    return [await fetch('http://h', { signal }).catch((error) => error.name),
      await fetch('http://h', { signal: { ...signal, reason: 'mine' } }).catch((reason) => reason)];`,
    {},
  );
  assert.deepEqual([sent.length, result], [0, ['AbortError', 'mine']]);
});

test('what cannot be sent is rejected, not thrown', () => {
  const { sent, result } = exchange(
    `return Promise.all(['/a', 'http://u:p@h'].map((url) => fetch(url).catch((error) => error.name)));`,
    {},
  );
  assert.deepEqual([sent.length, result], [0, ['TypeError', 'TypeError']]);
});

test('nothing is sent while a file is loaded', () => {
  const { error } = new Guest("await fetch('http://h');\nexport default () => 1;");
  assert.equal(error.error, 'TypeError');
  assert.match(error.message, /^no request can be sent while the file is loaded: call fetch in the handler$/);
  assert.equal(error.line, 1);
  const guest = new Guest("const code = await fetch('http://h').catch((e) => e.cause.code);\nexport default () => code;");
  assert.equal(guest.call({}).result, 'not_running');
});

// === what it costs ===

test('a file that names none of them has none of them', () => {
  const names = "['fe' + 'tch', 'Hea' + 'ders', 'Res' + 'ponse', 'Req' + 'uest']";
  const plain = new Guest(handler(`return ${names}.map((name) => typeof globalThis[name]);`));
  assert.deepEqual(plain.call({}).result, Array(4).fill('undefined'));
  const named = new Guest(handler(`/* fetch */ return ${names}.map((name) => typeof globalThis[name]);`));
  assert.deepEqual(named.call({}).result, Array(4).fill('function'));
});
test('own things of these names are not touched', () => {
  const guest = new Guest('class Response {}\nfunction fetch() { return [typeof Response, new Response().status ?? 0]; }\nmodule.exports = () => fetch();');
  assert.deepEqual(guest.call({}).result, ['function', 0]);
});
