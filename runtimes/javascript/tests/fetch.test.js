// fetch, Headers, Request and Response: without a network they give what Node.js gives, and with one what the host's side is
// told and answers.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const { test } = require('node:test');
const zlib = require('node:zlib');

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
same(
  'a body is a stream over its bytes',
  `const response = new Response('é☃');
  const { body } = response;
  const facts = [body === response.body, String(body), body.locked, response.bodyUsed];
  const reader = body.getReader();
  const first = await reader.read();
  facts.push([...first.value], first.done, (await reader.read()).done, response.bodyUsed, await told(() => response.text()));
  const byob = new Response('abc').body.getReader({ mode: 'byob' });
  const read = await byob.read(new Uint8Array(2));
  const parts = [];
  for await (const part of new Response('xyz').body) parts.push([...part]);
  const text = await new Response(new Response('through').body.pipeThrough(new TransformStream())).text();
  const [a, b] = new Response('two').body.tee();
  const spent = new Response('x');
  await spent.text();
  return [facts, [...read.value], parts, text, await new Response(a).text(), await new Response(b).text(), new Response().body,
    new Response('').body === null, spent.body.locked, await told(() => spent.body.getReader()), await told(() => new Response(spent.body))];`,
);
same(
  'bodies are made of streams and other iterables',
  `const bytes = (text) => new TextEncoder().encode(text);
  const stream = () => new ReadableStream({ start(c) { c.enqueue(bytes('a')); c.enqueue(bytes('é')); c.close(); } });
  async function* parts() { yield 'x'; yield bytes('y'); }
  const first = new Response(stream());
  const copy = first.clone();
  const request = new Request('http://h', { method: 'POST', body: stream(), duplex: 'half' });
  const wrong = new Response(new ReadableStream({ start(c) { c.enqueue('no bytes'); c.close(); } }));
  const broken = new Response(new ReadableStream({ start(c) { c.error(new RangeError('mine')); } }));
  const locked = stream();
  locked.getReader();
  return [await first.text(), first.bodyUsed, await copy.text(), first.headers.get('content-type'), await request.text(),
    await new Response(parts()).text(), await told(() => wrong.text()), await told(() => broken.text()), await told(() => new Response(locked))];`,
);
same(
  'messages are made of messages',
  `const first = new Response('x', { status: 201, headers: { a: 'b' } });
  const second = new Response(first.body, first);
  const request = new Request('http://h/1', { method: 'POST', body: 'y', headers: { a: 'c' } });
  const other = new Request('http://h/2', request);
  const third = new Request(other, { method: 'PUT', headers: { d: 'e' } });
  const used = [request.bodyUsed, other.bodyUsed];
  return [second.status, second.headers.get('a'), await second.text(), first.bodyUsed, second.bodyUsed, used, other.url, other.method,
    await third.text(), [...third.headers], third.bodyUsed, await told(() => new Request(other)), await new Request(other, { body: 'z' }).text()];`,
);
test('a body can be handed on and looped over without streams', () => {
  const body = `const response = new Response('é', { status: 202 });
    const { body } = response;
    const second = new Response(body, response);
    const parts = [];
    for await (const part of new Response('ab').body) parts.push(...part);
    const left = new Response('x');
    await left.body.cancel();
    return [typeof globalThis['Readable' + 'Stream'], String(body), body.locked, second.status, await second.text(), response.bodyUsed, parts,
      left.bodyUsed, new Response().body];`;
  assert.deepEqual(run(body).result, ['undefined', '[object ReadableStream]', false, 202, 'é', true, [97, 98], true, null]);
});
same(
  'blobs and forms',
  `const form = new FormData();
  form.append('a', '1'); form.append('é', new Blob(['x'], { type: 'text/x' }), 'f.txt');
  const sent = new Response(form);
  const type = sent.headers.get('content-type');
  const back = await sent.formData();
  const file = back.get('é');
  const blob = await new Response('é', { headers: { 'content-type': 'Text/HTML' } }).blob();
  const url = await new Request('http://h', { method: 'POST', body: new URLSearchParams('a=1&b=%20') }).formData();
  return [type.startsWith('multipart/form-data; boundary='), back.get('a'), file.name, file.type, await file.text(), blob.type, blob.size, await blob.text(),
    [...url], new Response(new Blob(['x'], { type: 'a/b' })).headers.get('content-type'), await new Response(new Blob(['x', 'y'])).text(),
    await told(() => new Response('x').formData()), (await new Response().blob()).size];`,
);
same(
  'requests keep what has no effect',
  `const { signal } = new AbortController();
  const facts = (request) => ['cache', 'credentials', 'destination', 'integrity', 'keepalive', 'mode', 'referrer', 'referrerPolicy', 'duplex']
    .map((name) => request[name]);
  const request = new Request('http://h', { cache: 'no-store', credentials: 'include', keepalive: true, mode: 'no-cors', integrity: '', referrerPolicy: 'origin', signal });
  return [facts(new Request('http://h')), facts(request), facts(new Request(request)), facts(request.clone()), request.signal.aborted,
    new Request('http://h').signal instanceof AbortSignal, await told(() => new Request('http://h', { duplex: 'full' }).url),
    await told(() => new Request('http://h', { signal: {} }).url), await told(() => new Request('http://h', { signal: null }).url)];`,
);
same(
  'URLs that are their own data',
  `const get = async (url) => { const response = await fetch(url); return [response.status, response.url, [...response.headers], await response.text()]; };
  return Promise.all(['data:,a%20b', 'data:text/html;charset=utf-8,<b>é', 'data:;base64,aGk=', 'data:text/plain;base64,aGk%3D#x', 'data:;charset=x,1'].map(get));`,
);
test('a response is no result', () => {
  // It would be {}.
  assert.match(run('return new Response("x");').error.message, /a Response is no JSON: its json\(\) or text\(\) is/);
  assert.match(run('return { request: new Request("http://h") };').error.message, /a Request is no JSON/);
});
test('many headers take little time', () => {
  // By looking through all of them for each one it would be a minute.
  const body = `const headers = new Headers();
    for (let n = 0; n < 20000; n++) headers.append('x-' + n, n);
    let sum = 0;
    for (let n = 0; n < 20000; n++) sum += Number(headers.get('x-' + n));
    return [sum, [...headers].length];`;
  const begun = process.hrtime.bigint();
  assert.deepEqual(run(body).result, [199_990_000, 20_000]);
  assert.ok(process.hrtime.bigint() - begun < 15_000_000_000n);
});
test('a request has a signal', () => {
  assert.deepEqual(run('const { signal } = new Request("http://h"); return [signal.aborted, String(signal)];').result, [false, '[object AbortSignal]']);
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

const OWN = { accept: '*/*', 'accept-encoding': 'gzip, deflate', 'user-agent': 'serverledge' };

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
  assert.equal(exchange(`await fetch('http://h', { headers: { range: 'bytes=0-1' } });`, {}).sent[0].headers['accept-encoding'], 'identity');
  const { sent } = exchange(`await fetch('http://h', { headers: { accept: 'text/html', 'accept-encoding': 'br', 'user-agent': 'me' } });`, {});
  assert.deepEqual(sent[0].headers, { accept: 'text/html', 'accept-encoding': 'br', 'user-agent': 'me' });
  assert.equal(sent[0].url, 'http://h/');
});

test('a POST without a body says so', () => {
  const { sent } = exchange(`await fetch('http://h', { method: 'POST' });`, {});
  assert.equal(sent[0].headers['content-length'], '0');
});

test('headers go out as they are, whatever is in them', () => {
  const { sent } = exchange(
    `const headers = new Headers({ 'X-Plain': ' a\\t"b"\\\\ ' });
    headers.append('x-latin', '\\xe9\\x80'); headers.append('X-Latin', '2'); headers.append('x-empty', '');
    await fetch('http://h/?a\\\\b', { headers });`,
    {},
  );
  assert.equal(sent[0].url, 'http://h/?a\\b');
  assert.equal(sent[0].headers['x-plain'], 'a\t"b"\\');
  assert.equal(sent[0].headers['x-latin'], '\xe9\x80, 2');
  assert.equal(sent[0].headers['x-empty'], '');
});

test('a head may be written in any way', () => {
  const head = (text, body) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(text));
    return Buffer.concat([length, Buffer.from(text), Buffer.from(body)]);
  };
  const packed = zlib.gzipSync('text').toString('latin1');
  const pairs = '[["X-A","1"],["Content-Encoding","gzip"],["x-a","]}"]]';
  for (const text of [
    `{"status":404,"headers":${pairs}}`,
    `{"headers":${pairs},"status":404}`,
    `{ "status": 404, "headers": ${pairs} }`,
    `{"status":404,"headers":${pairs},"more":[]}`,
  ]) {
    const guest = new Guest(
      handler(`const response = await fetch('http://h');
      return [response.status, [...response.headers], await response.text()];`),
      { send: () => ({}) },
    );
    guest.sendOut = (at, length, out, outMax) => {
      if (length > 0) guest.kept = { bytes: head(text, Buffer.from(packed, 'latin1')), mark: 0n };
      return guest.deliver(out, outMax);
    };
    assert.deepEqual(guest.call({}).result, [404, [['content-encoding', 'gzip'], ['x-a', '1, ]}']], 'text'], text);
  }
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
  for (const location of ['file:///etc/passwd', 'data:,x', 'http://', 'http://a:b@h/', 'http://a@other/', 'http://:b@other/']) {
    assert.equal(exchange(`return fetch('http://h')${code};`, to(location)).result, 'redirect_invalid', location);
  }
  assert.equal(exchange(`return (await fetch('http://h')).status;`, { status: 302 }).result, 302);
  // A stream cannot be sent again.
  for (const [status, expected] of [[301, 'redirect_invalid'], [302, 'redirect_invalid'], [303, 200], [307, 'redirect_invalid'], [308, 'redirect_invalid']]) {
    for (const body of ["new Blob(['x']).stream()", "new Response('x').body", "(async function* () { yield 'x'; })()"]) {
      const sending = `return fetch('http://h', { method: 'POST', duplex: 'half', body: ${body} }).then((response) => response.status)${code};`;
      assert.equal(exchange(sending, to('/b', status), {}).result, expected, `${status} ${body}`);
    }
  }
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
    `return [await fetch('http://h', { signal: AbortSignal.abort() }).catch((error) => [error.name, error.message]),
      await fetch(new Request('http://h', { signal: AbortSignal.abort('mine') })).catch((reason) => reason)];`,
    {},
  );
  assert.deepEqual([sent.length, result], [0, [['AbortError', 'This operation was aborted'], 'mine']]);
});

test('a signal that is aborted while the sandbox stands still is seen afterwards', () => {
  // Time goes on while the host answers.
  const guest = new Guest(
    handler(`const seen = [];
    const late = () => fetch('http://h', { signal: AbortSignal.timeout(50) });
    seen.push(await late().then((response) => response.text(), (error) => error.name));
    const controller = new AbortController();
    setTimeout(() => controller.abort('mine'), 10);
    seen.push(await fetch('http://h', { signal: controller.signal }).catch((reason) => reason));
    seen.push(await fetch('http://h', { signal: AbortSignal.timeout(1000) }).then((response) => response.text()));
    return seen;`),
    {
      send: () => {
        guest.monotonic += 100_000_000n;
        return { body: 'there' };
      },
    },
  );
  assert.deepEqual(guest.call({}).result, ['TimeoutError', 'mine', 'there']);
});

test('a redirect to a place in UTF-8', () => {
  const location = Buffer.from('/é☃?ä').toString('latin1');
  const { sent, result } = exchange(`return (await fetch('http://h')).url;`, to(location), {});
  assert.equal(sent[1].url, 'http://h/%C3%A9%E2%98%83?%C3%A4');
  assert.equal(result, sent[1].url);
  assert.equal(exchange(`return (await fetch('http://h')).url;`, to('/%C3%A9'), {}).result, 'http://h/%C3%A9');
});

// What Node.js makes of the same response, from a server of its own.
async function inNode(response, read) {
  const server = http.createServer((_, reply) => reply.writeHead(response.status ?? 200, response.headers.flat()).end(response.body));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await read(await fetch(`http://127.0.0.1:${server.address().port}/`));
  } finally {
    server.close();
  }
}

test('compressed responses are unpacked', async () => {
  const plain = 'é'.repeat(100);
  const gzip = zlib.gzipSync(plain);
  const cases = [
    ['gzip', gzip],
    ['X-GZip', gzip],
    ['deflate', zlib.deflateSync(plain)],
    ['deflate, gzip', zlib.gzipSync(zlib.deflateSync(plain))],
    ['zstd', Buffer.from('as it is')],
    ['gzip', Buffer.alloc(0)],
    ['identity', Buffer.from('as it is')],
  ];
  for (const [coding, body] of cases) {
    const response = { headers: [['content-encoding', coding], ['content-length', String(body.length)]], body };
    const read = async (got) => [got.status, got.headers.get('content-encoding'), got.headers.get('content-length'), await got.text()];
    const { result } = exchange(`const read = ${read}; return read(await fetch('http://h'));`, response);
    assert.deepEqual(result, await inNode(response, read), coding);
  }
  const raw = exchange(`return (await fetch('http://h')).text();`, { headers: [['content-encoding', 'deflate']], body: zlib.deflateRawSync(plain) });
  assert.equal(raw.result, plain);
  const wrong = exchange(
    `const response = await fetch('http://h'); return [response.status, await response.text().catch((error) => [error.message, error.cause.message])];`,
    { headers: [['content-encoding', 'gzip']], body: 'no gzip' },
  );
  assert.deepEqual(wrong.result, [200, ['terminated', 'the body is not in the format gzip']]);
});

test('streams and forms are sent as a whole', () => {
  const { sent, result } = exchange(
    `const body = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('a')); c.enqueue(new TextEncoder().encode('b')); c.close(); } });
    await fetch('http://h', { method: 'POST', body, duplex: 'half' });
    await fetch('http://h', { method: 'POST', body: new Blob(['blob'], { type: 'x/y' }) });
    const form = new FormData();
    form.append('a', '1');
    await fetch('http://h', { method: 'POST', body: form });
    const upstream = await fetch('http://h');
    const parts = [];
    for await (const part of upstream.body) parts.push(...part);
    return parts;`,
    { body: 'ok' },
  );
  assert.deepEqual(sent.slice(0, 2).map(({ body }) => body), ['ab', 'blob']);
  assert.equal(sent[1].headers['content-type'], 'x/y');
  assert.match(sent[2].headers['content-type'], /^multipart\/form-data; boundary=/);
  assert.match(sent[2].body, /name="a"\r\n\r\n1\r\n/);
  assert.deepEqual(result, [...Buffer.from('ok')]);
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

test('Headers are read by what is in them', () => {
  const source = `class More extends Headers { *entries() { yield ['other', '1']; } }
    module.exports = () => [[...new Headers(new More({ a: '1' }))], Headers.prototype.entries === Headers.prototype[Symbol.iterator]];
    // Response`;
  assert.deepEqual(new Guest(source).call({}).result, [[['a', '1']], true]);
});
