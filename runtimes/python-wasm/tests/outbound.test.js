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
        for part in b"POST /a HT", b"TP/1.1\\r\\nHost: other\\r\\nA: \\t b c \\r\\nContent-Length: 3\\r\\n\\r\\nx", b"yz":
            connection.sendall(part)
        return connection.makefile("rb").read().decode()
  `);
  assert.equal(guest.call().result, 'HTTP/1.1 200 \r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine');
  assert.deepEqual([requests[0].url, requests[0].body], ['http://xn--bcher-kva.example:8080/a', 'xyz']);
  assert.deepEqual(requests[0].headers, [['A', 'b c'], ['Content-Length', '3']]);
});

// === the timeout ===

test('a request has the timeout that its socket has when the response is read', () => {
  const { guest, requests } = sending(`
    import http.client, socket
    def handler(p):
        connection = http.client.HTTPSConnection("example.org", timeout=0.5)
        connection.request("GET", "/a")
        connection.sock.settimeout(30)
        connection.getresponse().read()
        for timeout in (None, 0, 0.0001, 1e9):
            plain = socket.create_connection(("example.org", 80), timeout=5)
            plain.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
            plain.settimeout(timeout)
            with plain.makefile("rb") as file:
                file.readline()
  `);
  assert.equal(guest.call().error, undefined);
  assert.deepEqual(requests.map((request) => request.timeout_ms), [30000, undefined, undefined, 1, 1e12]);
});

test('what is no timeout', () => {
  const { guest } = sending(`
    import socket
    def handler(p):
        found = []
        for timeout in (-1, float("nan"), float("inf"), "5", b"5"):
            try:
                socket.socket().settimeout(timeout)
            except Exception as error:
                found.append(type(error).__name__)
        plain = socket.socket()
        plain.setblocking(False)
        found += [plain.gettimeout(), plain.getblocking()]
        plain.setblocking(True)
        return found + [plain.gettimeout(), plain.getblocking()]
  `);
  assert.deepEqual(guest.call().result, ['ValueError', 'ValueError', 'OverflowError', 'TypeError', 'TypeError', 0, false, null, true]);
});

test('a socket that does not block has nothing to read before there is a request', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        plain = socket.create_connection(("example.org", 80))
        plain.setblocking(False)
        try:
            plain.recv(1)
        except BlockingIOError:
            plain.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
            return plain.recv(12).decode()
  `);
  assert.equal(guest.call().result, 'HTTP/1.1 200');
  assert.equal(requests.length, 1);
});

// === when a request is sent ===

test('a request whose response nobody reads is sent once: when the socket is closed, or at the end of the call', () => {
  const { guest, requests } = sending(`
    import http.client, socket
    kept = []
    def handler(p):
        def begin(path):
            connection = http.client.HTTPConnection("example.org")
            connection.request("POST", path, b"x")
            return connection
        begin("/closed").close()
        print("closed")
        kept.append(begin("/kept"))
        begin("/dropped")
        shut = begin("/shut")
        shut.sock.shutdown(socket.SHUT_RDWR)
        print("shut")
        with socket.create_connection(("example.org", 80)) as plain:
            plain.sendall(b"GET /half HTTP/1.1\\r\\n")
        return "result"
  `, ({ url }) => (url.endsWith('/kept') ? { error: 'outbound_timeout', message: 'no' } : { body: 'fine' }));
  const { result, error } = guest.call();
  assert.equal(result, 'result', JSON.stringify(error));
  assert.deepEqual(requests.map(({ url }) => new URL(url).pathname), ['/closed', '/shut', '/kept', '/dropped']);
});

test('nothing is sent of a request that goes on behind its end', () => {
  for (const more of ['b"GET / HTTP/1.1\\r\\n\\r\\n"', 'b"x"']) {
    for (const writes of [`send(request + ${more})`, `send(request); send(${more})`]) {
      const { guest, requests } = sending(`
        import socket
        def handler(p):
            plain = socket.create_connection(("example.org", 80))
            send, request = plain.sendall, b"POST / HTTP/1.1\\r\\nContent-Length: 2\\r\\n\\r\\nab"
            ${writes}
      `);
      const { error } = guest.call();
      assert.match(error.message, /^\[Errno 28\] the request is malformed, and was not sent: behind its end there is '(GET|x)/);
      assert.equal(requests.length, 0);
    }
  }
});

test('a client that waits for 100 Continue is told to go on', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        plain = socket.create_connection(("example.org", 80))
        plain.sendall(b"PUT / HTTP/1.1\\r\\nExpect: 100-Continue\\r\\nContent-Length: 3\\r\\n\\r\\n")
        first = plain.recv(1000).decode()
        plain.sendall(b"abc")
        return [first, plain.recv(1000).decode()[:15]]
  `);
  assert.deepEqual(guest.call().result, ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 200 \r\n']);
  assert.deepEqual([requests[0].body, requests[0].headers], ['abc', [['Content-Length', '3']]]);
});

test('http.client goes on by itself after 100 Continue', () => {
  const { guest, requests } = sending(`
    import http.client
    def handler(p):
        connection = http.client.HTTPConnection("example.org")
        connection.request("PUT", "/", b"abc", {"Expect": "100-continue"})
        return connection.getresponse().status
  `);
  assert.equal(guest.call().result, 200);
  assert.equal(requests[0].body, 'abc');
});

// === framing ===

const HEADS = {
  'both framings': ['Content-Length: 3\\r\\nTransfer-Encoding: chunked', /both Content-Length and Transfer-Encoding/],
  'two lengths': ['Content-Length: 3\\r\\nContent-Length: 4', /more than one Content-Length: 3, 4/],
  'a list of lengths': ['Content-Length: 3, 4', /Content-Length is '3, 4', which is no length/],
  'a length that is no number': ['Content-Length: three', /Content-Length is 'three', which is no length/],
  'a negative length': ['Content-Length: -3', /Content-Length is '-3'/],
  'a length with a sign': ['Content-Length: +3', /Content-Length is '\+3'/],
  'a length in hexadecimal': ['Content-Length: 0x3', /Content-Length is '0x3'/],
  'an empty length': ['Content-Length:', /Content-Length is ''/],
  'a length of other digits': ['Content-Length: \\xb2', /Content-Length is '²'/],
  'another coding': ['Transfer-Encoding: gzip', /Transfer-Encoding is 'gzip', and only chunked/],
  'two codings': ['Transfer-Encoding: gzip, chunked', /Transfer-Encoding is 'gzip, chunked', and only chunked/],
  'a coding twice': ['Transfer-Encoding: chunked\\r\\nTransfer-Encoding: chunked', /Transfer-Encoding is 'chunked, chunked'/],
  'a coding that looks like another': ['Transfer-Encoding: \\x0bchunked', /'Transfer-Encoding' has a control character/],
  'a folded header': ['A: b\\r\\n c', /' c' continues the header in the line before, and lines cannot be folded/],
  'a first header that is folded': [' A: b', /' A: b' continues the header/],
  'white space before the colon': ['Content-Length : 3', /white space between the header 'Content-Length ' and its colon/],
  'a header without a name': [': b', /'' is no name of a header/],
  'a name with a space': ['A B: c', /'A B' is no name of a header/],
  'a NUL in a name': ['A\\x00: b', /is no name of a header/],
  'a NUL in a value': ['A: b\\x00c', /'A' has a control character/],
  'a LF in a value': ['A: b\\nC: d', /ends with CR or LF alone/],
  'a CR in a value': ['A: b\\rC: d', /ends with CR or LF alone/],
  'two hosts': ['Host: a\\r\\nHost: b', /more than one Host/],
};
for (const [what, [head, message]] of Object.entries(HEADS)) {
  test(`what is not sent: ${what}`, () => {
    const { guest, requests } = sending(`
      import socket
      def handler(p):
          plain = socket.create_connection(("example.org", 80))
          request = b"POST / HTTP/1.1\\r\\n${head}\\r\\n\\r\\nabc"
          try:
              for at in range(0, len(request), p["step"]):
                  plain.sendall(request[at:at + p["step"]])
          except OSError as error:
              try:
                  plain.recv(1)
              except OSError as again:
                  return [error.code, error.strerror, again is error]
    `);
    for (const step of [1000, 1]) {
      const { result, error } = guest.call({ step });
      assert.equal(error, undefined, JSON.stringify(error));
      assert.deepEqual([result[0], result[2]], ['outbound_request_invalid', true]);
      assert.match(result[1], message);
      assert.match(result[1], /^the request is malformed, and was not sent: /);
    }
    assert.equal(requests.length, 0);
  });
}

const CHUNKS = {
  'a size that is none': ['x\\r\\n', /'x' is no size of a chunk/],
  'an empty size': ['\\r\\n', /'' is no size of a chunk/],
  'a negative size': ['-3\\r\\nabc\\r\\n', /'-3' is no size/],
  'a size with a prefix': ['0x3\\r\\nabc\\r\\n', /'0x3' is no size/],
  'a size with an underscore': ['1_0\\r\\n', /'1_0' is no size/],
  'a size with white space': ['3 \\r\\nabc\\r\\n', /'3 ' is no size/],
  'a size that is far too long': ['ffffffffffffffffffff\\r\\n', /is no size of a chunk/],
  'a LF behind a size': ['3\\nabc\\r\\n', /ends with LF alone/],
  'data that are longer than the size': ['3\\r\\nabcd\\r\\n', /the data of a chunk are longer than its size says/],
  'a LF behind the data': ['3\\r\\nabc\\n0\\r\\n\\r\\n', /the data of a chunk are longer/],
  'a trailer that is none': ['0\\r\\nnothing\\r\\n\\r\\n', /'nothing' is no header/],
  'bytes behind the end': ['0\\r\\n\\r\\nabc', /behind its end there is 'a(bc)?'/],
  'a line that is far too long': [`3;${'a'.repeat(5000)}`, /a line between its chunks has more than 4096 bytes/],
  'too large a chunk': ['600001\\r\\n', /a request may have 6291456 bytes/],
};
for (const [what, [body, message]] of Object.entries(CHUNKS)) {
  test(`what is not sent in chunks: ${what}`, () => {
    const { guest, requests } = sending(`
      import socket
      def handler(p):
          plain = socket.create_connection(("example.org", 80))
          request = b"POST / HTTP/1.1\\r\\nTransfer-Encoding: Chunked\\r\\n\\r\\n${body}"
          for at in range(0, len(request), p["step"]):
              plain.sendall(request[at:at + p["step"]])
    `);
    for (const step of [10000, 1]) assert.match(guest.call({ step }).error.message, message);
    assert.equal(requests.length, 0);
  });
}

test('chunks in all forms that there are', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        for step in range(1, 90):
            plain = socket.create_connection(("example.org", 80))
            request = b"POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n02 ; name=\\"value\\"\\r\\n\\r\\n\\r\\nA\\r\\n0123456789\\r\\n000\\r\\nT: x\\r\\n\\r\\n"
            for at in range(0, len(request), step):
                plain.sendall(request[at:at + step])
            plain.recv(1)
  `);
  assert.equal(guest.call().error, undefined);
  assert.equal(requests.length, 89);
  for (const request of requests) assert.deepEqual([request.body, request.headers], ['abc\r\n0123456789', []]);
});

// The parts that were written before are not looked at again: so twice as many take twice the time, and these would take hours.
test('a large body in tiny chunks', () => {
  const { guest, requests } = sending(`
    import http.client
    def handler(p):
        connection = http.client.HTTPConnection("example.org")
        connection.request("POST", "/", (b"\\r\\n" for _ in range(p["chunks"])), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        return connection.getresponse().status
  `);
  const { result, error } = guest.call({ chunks: 150_000 });
  assert.equal(result, 200, JSON.stringify(error));
  assert.equal(requests[0].body.length, 300_000);
});

test('the limit of a request is that of its content, and framing takes no memory', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        plain = socket.create_connection(("example.org", 80))
        plain.sendall(b"POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
        part = b"".join(b"%x;%s\\r\\n%s\\r\\n" % (p["size"], b"a" * p["extension"], b"x" * p["size"]) for _ in range(100))
        for _ in range(p["parts"]):
            plain.sendall(part)
        plain.sendall(b"0\\r\\n\\r\\n")
        return plain.recv(12).decode()
  `, undefined, { memoryPages: 512 });
  // 40 MB of framing around 10 kB.
  assert.equal(guest.call({ size: 1, extension: 4000, parts: 100 }).result, 'HTTP/1.1 200');
  assert.equal(requests[0].body.length, 10_000);
  assert.match(guest.call({ size: 1000, extension: 0, parts: 70 }).error.message, /a request may have 6291456 bytes/);
  assert.equal(guest.call({ size: 1000, extension: 0, parts: 60 }).result, 'HTTP/1.1 200');
  assert.equal(requests.length, 2);
});

for (const [what, target, message] of [
  ['an asterisk', '*', /its target is '\*'/],
  ['no path', 'path', /its target is 'path'/],
  ['a control character', '/a\\x00b', /only HTTP goes out/],
  ['other characters', '/\\xe4', /only HTTP goes out/],
]) {
  test(`what is not sent: a target with ${what}`, () => {
    const { guest, requests } = sending(`
      import socket
      def handler(p):
          plain = socket.create_connection(("example.org", 80))
          plain.sendall(b"GET ${target} HTTP/1.1\\r\\n\\r\\n")
    `);
    assert.match(guest.call().error.message, message);
    assert.equal(requests.length, 0);
  });
}

// === sockets ===

test('hosts that are none, and ports', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        found = []
        for act in (lambda: socket.create_connection(("user@example.org", 80)), lambda: socket.create_connection(("example.org/a?", 80)),
                    lambda: socket.create_connection(("a b", 80)), lambda: socket.socket().connect(("example.org", 70000)),
                    lambda: socket.socket().connect(("example.org", "80")), lambda: socket.getaddrinfo("example.org", "gopher"),
                    lambda: socket.getaddrinfo("example.org", None)[0][4][1], lambda: socket.getaddrinfo(b"example.org", b"443")[0][4][1]):
            try:
                found.append(act())
            except Exception as error:
                found.append(type(error).__name__)
        return found
  `);
  const { result, error } = guest.call();
  assert.deepEqual(result, ['gaierror', 'gaierror', 'gaierror', 'OverflowError', 'TypeError', 'gaierror', 0, 443], JSON.stringify(error));
  assert.equal(requests.length, 0);
});

test('what is written and read in other forms', () => {
  const { guest, requests } = sending(`
    import array, socket
    def handler(p):
        plain = socket.create_connection(("example.org", 80))
        with plain.makefile("rwb", buffering=0) as file:
            file.write(memoryview(b"POST / HTTP/1.1\\r\\n"))
            file.write(bytearray(b"Content-Length: 8\\r\\n\\r\\n"))
            plain.sendall(memoryview(b"abcdefgh")[2:4])
            plain.sendmsg([b"x", memoryview(b"y")])
            plain.close()
            file.write(array.array("I", [0x64636261]))
            peeked = plain.recv(4, socket.MSG_PEEK)
            buffer = bytearray(8)
            count = plain.recv_into(memoryview(buffer)[1:], 4)
            rest = file.read().decode()
        found = [peeked.decode(), count, buffer.decode("latin-1"), rest[-4:]]
        for act in (lambda: plain.recv(1), lambda: plain.send(b"x"), lambda: socket.socket().recv(1), lambda: socket.socket().sendall("text")):
            try:
                found.append(act())
            except Exception as error:
                found.append([type(error).__name__, getattr(error, "errno", None)])
        return found
  `);
  const { result, error } = guest.call();
  assert.deepEqual(result?.slice(0, 4), ['HTTP', 4, '\0HTTP\0\0\0', 'fine'], JSON.stringify(error));
  assert.deepEqual(result.slice(4).map(([name]) => name), ['OSError', 'OSError', 'OSError', 'OSError']);
  assert.equal(requests[0].body, 'cdxyabcd');
});

test('after its response a connection is at its end', () => {
  const { guest, requests } = sending(`
    import socket
    def handler(p):
        plain = socket.create_connection(("example.org", 80))
        plain.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        while plain.recv(1000):
            pass
        found = [plain.recv(1).decode()]
        try:
            plain.sendall(b"GET /again HTTP/1.1\\r\\n\\r\\n")
        except BrokenPipeError as error:
            found.append("BrokenPipeError")
        return found
  `);
  assert.deepEqual(guest.call().result, ['', 'BrokenPipeError']);
  assert.equal(requests.length, 1);
});

test('bodies are passed on as they came', () => {
  const packed = require('node:zlib').gzipSync('text');
  const { guest } = sending(
    `
    import gzip, http.client
    def handler(p):
        found = []
        for path in "/packed", "/none", "/unchanged":
            connection = http.client.HTTPConnection("example.org")
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            found.append([response.status, response.getheader("content-length"), response.getheader("content-encoding"), gzip.decompress(body).decode() if body else ""])
        return found
    `,
    ({ url }) => url.endsWith('/packed') ? { headers: [['content-encoding', 'gzip'], ['transfer-encoding', 'chunked']], body: packed }
      : url.endsWith('/none') ? { status: 204 } : { status: 304, headers: [['content-length', '70']] },
  );
  assert.deepEqual(guest.call().result, [[200, String(packed.length), 'gzip', 'text'], [204, null, null, ''], [304, '70', null, '']]);
});

test('a response that is too large is told by its code', () => {
  const { guest } = sending(`
    import errno, http.client
    def handler(p):
        connection = http.client.HTTPConnection("example.org")
        connection.request("GET", "/")
        try:
            connection.getresponse()
        except OSError as error:
            return [error.code, error.errno == errno.EMSGSIZE, error.strerror]
  `, () => ({ error: 'outbound_response_too_large', message: 'the response of example.org is longer than 6291456 bytes' }));
  assert.deepEqual(guest.call().result, ['outbound_response_too_large', true, 'the response of example.org is longer than 6291456 bytes']);
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
