// Requests to hosts outside: what programs write to a socket, the node sends.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python } = require('./guest.js');

// A function, and the requests that it sends.
function sending(source, answer = () => ({ body: 'fine' }), options = {}) {
  const requests = [];
  const send = (request) => {
    requests.push({ ...request, body: request.body.toString('latin1') });
    return answer(request, requests.length);
  };
  const guest = new Python(source, { send, ...options });
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  return { guest, requests };
}

const header = (request, name) => request.headers.find(([each]) => each.toLowerCase() === name)?.[1];

test('urlopen by http and https', () => {
  const { guest, requests } = sending(
    `
    import urllib.request
    def handler(p):
        with urllib.request.urlopen(p["url"]) as response:
            return [response.status, response.reason, response.headers["X-Kind"], response.headers.get_all("set-cookie"), response.read().decode(), response.url]
    `,
    () => ({ status: 201, headers: [['x-kind', 'caf\u00e9'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['content-length', '3']], body: 'ä'.repeat(5000) }),
  );
  for (const url of ['http://example.org/a?b=c', 'https://example.org:8443/', 'https://[::1]/x', 'http://127.0.0.1:80/']) {
    const { result, error } = guest.call({ url });
    assert.deepEqual(result, [201, 'Created', 'café', ['a=1', 'b=2'], 'ä'.repeat(5000), url], JSON.stringify(error));
    const { method, url: sent, headers, body } = requests.at(-1);
    assert.deepEqual([method, sent, body], ['GET', url.replace(':80/', '/'), '']);
    assert.deepEqual(headers.map(([name]) => name.toLowerCase()), ['accept-encoding', 'user-agent']);
  }
});

test('a body, headers and a placeholder go out as they are', () => {
  const { guest, requests } = sending(
    `
    import json, os, urllib.request
    def handler(p):
        request = urllib.request.Request("https://api.example.org/items", json.dumps({"a": "ä"}).encode(), method="PUT", headers={
            "Content-Type": "application/json", "Authorization": "Bearer " + os.environ["KEY"], "X-Text": "caf\\u00e9"})
        return json.load(urllib.request.urlopen(request))
    `,
    () => ({ headers: [['content-type', 'application/json']], body: '{"stored": true}' }),
    { env: { KEY: 'placeholder' }, secrets: ['KEY'] },
  );
  assert.deepEqual(guest.call().result, { stored: true });
  const [request] = requests;
  assert.deepEqual([request.method, request.url, request.body], ['PUT', 'https://api.example.org/items', '{"a": "\\u00e4"}']);
  assert.equal(header(request, 'authorization'), 'Bearer placeholder');
  assert.equal(header(request, 'x-text'), 'café');
  assert.equal(header(request, 'content-length'), '15');
});

test('redirects, and responses that are errors', () => {
  const { guest, requests } = sending(
    `
    import urllib.error, urllib.request
    def handler(p):
        try:
            return urllib.request.urlopen(p["url"], data=b"posted").url
        except urllib.error.HTTPError as error:
            return [error.code, error.reason, error.read().decode(), error.headers["x-why"]]
    `,
    ({ url }) =>
      url.endsWith('/old')
        ? { status: 302, headers: [['location', 'https://other.example/new']], body: 'moved' }
        : url.endsWith('/bad') ? { status: 404, headers: [['x-why', 'none']], body: 'nothing here' } : { body: 'new' },
  );
  assert.equal(guest.call({ url: 'http://example.org/old' }).result, 'https://other.example/new');
  assert.deepEqual(requests.map(({ method, url }) => [method, url]), [['POST', 'http://example.org/old'], ['GET', 'https://other.example/new']]);
  assert.deepEqual(guest.call({ url: 'http://example.org/bad' }).result, [404, 'Not Found', 'nothing here', 'none']);
});

test('http.client: chunks, HEAD, no content, one connection for several requests', () => {
  const { guest, requests } = sending(
    `
    import http.client
    def handler(p):
        connection = http.client.HTTPSConnection("example.org", timeout=2.5)
        found = []
        def ask(*arguments, **keywords):
            connection.request(*arguments, **keywords)
            response = connection.getresponse()
            found.append([response.status, response.getheader("content-length"), response.read().decode()])
        ask("POST", "/chunks", iter([b"one ", b"\\r\\n\\r\\n", b"two"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        ask("HEAD", "/head")
        ask("DELETE", "/none")
        ask("POST", "/long", "x" * 200000)
        return found
    `,
    ({ method, url, body }) =>
      method === 'HEAD' ? { headers: [['content-length', '70']] } : url.endsWith('/none') ? { status: 204 } : { body: String(body.length) },
  );
  const { result, error } = guest.call();
  assert.deepEqual(result, [[200, '2', '11'], [200, '70', ''], [204, null, ''], [200, '6', '200000']], JSON.stringify(error));
  assert.equal(requests[0].body, 'one \r\n\r\ntwo');
  assert.equal(header(requests[0], 'transfer-encoding'), undefined);
  assert.equal(requests[0].timeout_ms, 2500);
});

test('large responses, read in parts', () => {
  const { guest } = sending(
    `
    import hashlib, urllib.request
    def handler(p):
        digest, response = hashlib.sha256(), urllib.request.urlopen("https://example.org/")
        while part := response.read(10000):
            digest.update(part)
        return digest.hexdigest()
    `,
    () => ({ body: Buffer.alloc(1 << 20, 'abc') }),
  );
  const digest = require('node:crypto').createHash('sha256').update(Buffer.alloc(1 << 20, 'abc')).digest('hex');
  assert.equal(guest.call().result, digest);
});

for (const [code, kind] of [
  ['outbound_not_granted', 'PermissionError'],
  ['outbound_host_not_allowed', 'PermissionError'],
  ['outbound_unreachable', 'ConnectionRefusedError'],
  ['outbound_broken', 'ConnectionResetError'],
  ['outbound_too_many', 'OSError'],
]) {
  test(`${code} is a URLError with a ${kind}`, () => {
    const { guest } = sending(
      `
      import urllib.error, urllib.request
      def handler(p):
          try:
              urllib.request.urlopen("https://example.org/")
          except urllib.error.URLError as error:
              return [type(error.reason).__name__, error.reason.strerror, error.reason.code]
      `,
      () => ({ error: code, message: 'https://example.org: why (--allow-host)' }),
    );
    assert.deepEqual(guest.call().result, [kind, 'https://example.org: why (--allow-host)', code]);
  });
}

test('nobody answers in time', () => {
  const { guest, requests } = sending(
    `
    import urllib.request
    def handler(p):
        try:
            urllib.request.urlopen("https://example.org/", timeout=0.25)
        except TimeoutError as error:
            return str(error)
    `,
    () => ({ error: 'outbound_timeout', message: 'example.org did not answer within 0.25 s' }),
  );
  assert.match(guest.call().result, /example\.org did not answer within 0\.25 s$/);
  assert.equal(requests[0].timeout_ms, 250);
});

test('a request that nothing was granted for', () => {
  const { error } = new Python('import urllib.request\ndef handler(p):\n    urllib.request.urlopen("https://example.org/")').call();
  assert.equal(error.error, 'URLError');
  assert.match(error.message, /the function may send no requests/);
});

test('nothing is sent while the file is loaded', () => {
  const { error } = new Python('import urllib.request\nurllib.request.urlopen("https://example.org/")\ndef handler(p): pass');
  assert.equal(error.error, 'URLError');
  assert.match(error.message, /no request can be sent while the file is loaded: send it in the handler/);
  assert.equal(error.line, 2);
});

// What is written, and what the error says.
for (const [what, written, message] of [
  ['Redis', 'b"*1\\r\\n$4\\r\\nPING\\r\\n"', /only HTTP goes out/],
  ['PostgreSQL', 'b"\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f"', /only HTTP goes out/],
  ['HTTP/2', 'b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"', /only HTTP goes out/],
  ['a proxy', 'b"CONNECT example.org:443 HTTP/1.1\\r\\n\\r\\n"', /through a proxy/],
  ['another proxy', 'b"GET http://example.org/ HTTP/1.1\\r\\n\\r\\n"', /through a proxy/],
  ['a line that is no header', 'b"GET / HTTP/1.1\\r\\nnothing\\r\\n\\r\\n"', /'nothing' is no header/],
  ['nothing, and waiting', 'b""', /only HTTP goes out/],
  ['half of a request', 'b"GET / HTTP/1.1\\r\\n"', /the request is not complete/],
]) {
  test(`what is not sent: ${what}`, () => {
    const { guest, requests } = sending(`
      import socket
      def handler(p):
          with socket.create_connection(("example.org", 80)) as connection:
              connection.sendall(${written})
              return connection.recv(100).decode()
    `);
    assert.match(guest.call().error.message, message);
    assert.equal(requests.length, 0);
  });
}

test('a socket of one’s own that speaks HTTP', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        connection = socket.create_connection(("b\\u00fccher.example", 8080), timeout=3)
        for part in b"POST /a HT", b"TP/1.1\\r\\nHost: other\\r\\nA: b\\r\\n c\\r\\nContent-Length: 3\\r\\n\\r\\nx", b"yz":
            connection.sendall(part)
        return connection.makefile("rb").read().decode()
  `);
  assert.equal(guest.call().result, 'HTTP/1.1 200 \r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine');
  assert.deepEqual([requests[0].url, requests[0].body], ['http://xn--bcher-kva.example:8080/a', 'xyz']);
  assert.deepEqual(requests[0].headers, [['A', 'b c'], ['Content-Length', '3']]);
});

test('certificates are checked by the node, and that is not changed here', () => {
  const { guest, requests } = sending(`
    import http.client, ssl
    def handler(p):
        loose = ssl.create_default_context()
        loose.check_hostname = False
        loose.verify_mode = ssl.CERT_NONE
        def send(context):
            http.client.HTTPSConnection("example.org", context=context).request("GET", "/")
        def wrap(name):
            import socket
            ssl.create_default_context().wrap_socket(socket.create_connection(("example.org", 443)), server_hostname=name)
        send(ssl.create_default_context(cafile="/app/code/certifi/cacert.pem"))
        wrap("EXAMPLE.org.")
        found = []
        for act in (lambda: send(loose), lambda: send(ssl.SSLContext()), lambda: send(ssl._create_unverified_context()),
                    lambda: ssl.create_default_context().load_cert_chain("cert.pem"), lambda: ssl.create_default_context(cafile="own.pem"),
                    lambda: ssl.create_default_context(cadata="-----"), lambda: wrap("other.example"), ssl.MemoryBIO):
            try:
                act()
                found.append(None)
            except ssl.SSLError as error:
                found.append(error.strerror)
        return found
  `);
  const { result, error } = guest.call();
  assert.equal(error, undefined, JSON.stringify(error));
  const expected = [
    /cannot be switched off/, /cannot be switched off/, /cannot be switched off/, /without a certificate of the function's own/,
    /and with no others/, /and with no others/, /goes to example\.org/, /no TLS of its own/,
  ];
  result.forEach((message, index) => {
    assert.match(message, expected[index]);
    assert.match(message, /deploy the function with the runtime python/);
  });
  assert.equal(requests.length, 1);
});

test('ssl can be imported, and has the usual names', () => {
  const { guest } = sending(`
    import ssl
    from ssl import CERT_REQUIRED, OP_NO_SSLv3, PROTOCOL_TLS_CLIENT, VERIFY_X509_STRICT, SSL_ERROR_EOF, TLSVersion
    def handler(p):
        pem = ssl.DER_cert_to_PEM_cert(bytes(range(100)))
        return [ssl.PEM_cert_to_DER_cert(pem) == bytes(range(100)), issubclass(ssl.CertificateError, (ssl.SSLError, ValueError)), ssl.VerifyMode(2) is CERT_REQUIRED]
  `);
  assert.deepEqual(guest.call().result, [true, true, true]);
});

test('requests in asynchronous handlers', () => {
  const { guest } = sending(`
    import asyncio, urllib.request
    def get(path):
        return urllib.request.urlopen(f"https://example.org/{path}").read().decode()
    async def handler(p):
        return await asyncio.gather(asyncio.to_thread(get, "a"), asyncio.to_thread(get, "b"))
  `, ({ url }) => ({ body: url.at(-1) }));
  assert.deepEqual(guest.call().result, ['a', 'b']);
});

test('a proxy of the environment is no way out, and no obstacle to the import', () => {
  const env = { https_proxy: 'http://proxy.example:3128' };
  const { guest, requests } = sending('import urllib.request\ndef handler(p):\n    urllib.request.urlopen("https://example.org/")', undefined, { env, deployEnv: env });
  assert.match(guest.call().error.message, /through a proxy: the node sends them itself/);
  assert.equal(requests.length, 0);
});

test('requests are rehearsed at deploy, and none is sent then', () => {
  const { guest, requests } = sending('import urllib.request\ndef handler(p):\n    return urllib.request.urlopen("https://example.org/").read().decode()');
  assert.deepEqual([requests.length, guest.warnings, guest.deployLog], [0, [], '']);
  assert.equal(guest.call().result, 'fine');
  assert.ok(guest.pagesChanged() <= 150, String(guest.pagesChanged()));
});

test('a function that sends nothing pays nothing', () => {
  const guest = new Python('def handler(params, context):\n    return {"message": "hello"}');
  guest.call();
  assert.ok(guest.pagesChanged() <= 16, String(guest.pagesChanged()));
});
