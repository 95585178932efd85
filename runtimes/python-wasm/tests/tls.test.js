// The module ssl: the node has the TLS, so settings that it does not follow are errors that name the setting.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python } = require('./guest.js');

const OTHER = /: deploy the function with the runtime python/;

// Sets something, and connects: the function's result, and the number of its requests.
function connecting(code, options = {}) {
  const requests = [];
  const send = (request) => {
    requests.push(request);
    return { body: 'fine' };
  };
  const guest = new Python(
    `
    import http.client, os, socket, ssl
    def connect(context):
        connection = http.client.HTTPSConnection("example.org", context=context)
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    def handler(p):
        context = ssl.create_default_context()
        exec(p["code"], globals(), {"context": context})
        return connect(context)
    `,
    { send, ...options },
  );
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  return { ...guest.call({ code }), requests };
}

for (const [setting, code] of [
  ['verify_mode = CERT_NONE', 'context.check_hostname = False; context.verify_mode = ssl.CERT_NONE'],
  ['check_hostname = False', 'context.check_hostname = False'],
  ['minimum_version = TLSv1_3', 'context.minimum_version = ssl.TLSVersion.TLSv1_3'],
  ['minimum_version = MAXIMUM_SUPPORTED', 'context.minimum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED'],
  ['maximum_version = TLSv1_2', 'context.maximum_version = ssl.TLSVersion.TLSv1_2'],
  ['maximum_version = TLSv1_1', 'context.maximum_version = ssl.TLSVersion.TLSv1_1'],
  ['options OP_NO_TLSv1_2', 'context.options |= ssl.OP_NO_TLSv1_2'],
  ['options OP_NO_TLSv1_3', 'context.options |= ssl.OP_NO_TLSv1_3'],
  ['verify_flags VERIFY_CRL_CHECK_LEAF', 'context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF'],
  ['verify_flags VERIFY_CRL_CHECK_CHAIN', 'context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN'],
  ['keylog_filename', 'context.keylog_filename = "/tmp/keys"'],
  ['sni_callback', 'context.sni_callback = print'],
  ['set_servername_callback', 'context.set_servername_callback(print)'],
  ["set_ciphers('AES256-SHA')", 'context.set_ciphers("AES256-SHA")'],
  ["set_ciphers('DEFAULT:!AESGCM')", 'context.set_ciphers("DEFAULT:!AESGCM")'],
  ["set_ciphers('ECDHE+AESGCM')", 'context.set_ciphers("ECDHE+AESGCM")'],
  ["set_ciphers('DEFAULT:@SECLEVEL=4')", 'context.set_ciphers("DEFAULT:@SECLEVEL=4")'],
  ["set_alpn_protocols(['h2'])", 'context.set_alpn_protocols(["h2"])'],
  ['set_ecdh_curve', 'context.set_ecdh_curve("prime256v1")'],
  ['set_npn_protocols', 'context.set_npn_protocols(["http/1.1"])'],
  ['set_psk_client_callback', 'context.set_psk_client_callback(print)'],
  ['load_dh_params', 'context.load_dh_params("dh.pem")'],
  ['load_cert_chain', 'context.load_cert_chain("cert.pem")'],
  ['load_verify_locations', 'context.load_verify_locations("own.pem")'],
  ['load_verify_locations', 'context.load_verify_locations(capath="/etc/certs")'],
  ['load_verify_locations', 'context.load_verify_locations(cadata=b"x")'],
  ['load_verify_locations', 'context.load_verify_locations("/app/code/certifi/cacert.pem", "/etc/certs")'],
  ['PROTOCOL_TLSv1_2', 'ssl.SSLContext(ssl.PROTOCOL_TLSv1_2)'],
  ['PROTOCOL_TLSv1', 'ssl.SSLContext(ssl.PROTOCOL_TLSv1)'],
]) {
  test(`what the node does not follow: ${setting} (${code})`, () => {
    const { error, requests } = connecting(code);
    assert.equal(error?.error, 'SSLError', JSON.stringify(error));
    assert.ok(error.message.includes(setting), error.message);
    assert.match(error.message, OTHER);
    assert.equal(requests.length, 0);
  });
}

for (const code of [
  'pass',
  'context.load_default_certs()',
  'context.set_default_verify_paths()',
  'context.load_verify_locations("/app/code/lib/certifi/cacert.pem")',
  'context.load_verify_locations(b"/app/code/certifi/cacert.pem")',
  'context.set_alpn_protocols(["http/1.1"])',
  'context.set_alpn_protocols(["h2", "http/1.1"])',
  // What urllib3 and httpx set, and what leaves the choice.
  'context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDH+AESGCM:DH+AESGCM:ECDH+AES:DH+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!MD5:!DSS:!AESCCM")',
  'context.set_ciphers("DEFAULT@SECLEVEL=1")',
  'context.set_ciphers("HIGH:!aNULL:!RC4")',
  'context.minimum_version = ssl.TLSVersion.TLSv1_2; context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED',
  'context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED; context.maximum_version = ssl.TLSVersion.TLSv1_3',
  'context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1 | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET',
  'context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT',
  'context.verify_flags &= ~ssl.VERIFY_X509_STRICT',
  'context.post_handshake_auth = True',
  'context.hostname_checks_common_name = False',
  'context.keylog_filename = None; context.sni_callback = None',
  'context.check_hostname = False; context.check_hostname = True',
  // The same as CERT_REQUIRED to a client.
  'context.verify_mode = ssl.CERT_OPTIONAL',
  'context.verify_mode = ssl.CERT_REQUIRED; context.check_hostname = True',
]) {
  test(`what changes nothing: ${code}`, () => {
    const { result, error, requests } = connecting(code);
    assert.equal(result, 'fine', JSON.stringify(error));
    assert.equal(requests.length, 1);
  });
}

test('a file of roots in the environment is an error, unless it is that of certifi', () => {
  for (const [env, message] of [
    [{ SSL_CERT_FILE: '/own/roots.pem' }, /SSL_CERT_FILE/],
    [{ SSL_CERT_DIR: '/own' }, /SSL_CERT_DIR/],
    [{ SSL_CERT_FILE: '/app/code/certifi/cacert.pem' }, undefined],
  ]) {
    const { result, error, requests } = connecting('context.load_default_certs()', { env });
    if (message === undefined) assert.equal(result, 'fine', JSON.stringify(error));
    else assert.match(error.message, message);
    assert.equal(requests.length, message === undefined ? 1 : 0);
  }
});

test('a context of the plain protocol that demands certificates is one', () => {
  const code = `
own = ssl.SSLContext(ssl.PROTOCOL_TLS)
own.verify_mode = ssl.CERT_REQUIRED
own.load_default_certs()
connect(own)`;
  const { result, error, requests } = connecting(code);
  assert.equal(result, 'fine', JSON.stringify(error));
  assert.equal(requests.length, 2);
});

test('urllib3 1.x leaves the check of names to the node', () => {
  const source = `
    import ssl
    def context():
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.verify_mode = ssl.CERT_REQUIRED
        made.check_hostname = False
        return made
  `;
  const files = { 'urllib3/__init__.py': '', 'urllib3/util/__init__.py': '', 'urllib3/util/ssl_.py': source };
  const { result, error } = connecting('from urllib3.util.ssl_ import context as make\nassert make().check_hostname\nconnect(make())', { files });
  assert.equal(result, 'fine', JSON.stringify(error));
  const { error: loose } = connecting('from urllib3.util.ssl_ import context as make\nmade = make()\nmade.verify_mode = ssl.CERT_NONE\nconnect(made)', { files });
  assert.match(loose.message, /verify_mode = CERT_NONE has no effect/);
});

test('verify_mode and check_hostname depend on each other as in CPython', () => {
  const { error } = connecting('context.verify_mode = ssl.CERT_NONE');
  assert.deepEqual([error.error, error.message], ['ValueError', 'Cannot set verify_mode to CERT_NONE when check_hostname is enabled.']);
});

test('a socket is wrapped before it is connected, and its name is checked', () => {
  const wrap = (host) => `
plain = context.wrap_socket(socket.socket(), server_hostname="example.org")
plain.connect(("${host}", 443))
plain.sendall(b"GET /wrapped HTTP/1.1\\r\\n\\r\\n")
plain.recv(1)`;
  const { result, requests } = connecting(wrap('example.org'));
  assert.deepEqual([result, requests[0].url], ['fine', 'https://example.org/wrapped']);
  const { error, requests: none } = connecting(wrap('other.example'));
  assert.match(error.message, /the request goes to other\.example, whose certificate the node checks, and not that of example\.org/);
  assert.equal(none.length, 0);
});

test('nothing that was written before the connection is wrapped goes out', () => {
  const { error, requests } = connecting(`
plain = socket.create_connection(("example.org", 443))
plain.sendall(b"GET / HTTP/1.1\\r\\nA: ")
context.wrap_socket(plain, server_hostname="example.org")`);
  assert.match(error.message, /no TLS of its own/);
  assert.equal(requests.length, 0);
});

test('what a wrapped socket says of itself', () => {
  const { error, result } = connecting(`
plain = context.wrap_socket(socket.create_connection(("example.org", 443)), server_hostname="example.org")
assert (plain.server_hostname, plain.context, plain.selected_alpn_protocol()) == ("example.org", context, None)
context.set_alpn_protocols(["http/1.1"])
plain = context.wrap_socket(socket.create_connection(("example.org", 443)), server_hostname="example.org")
assert plain.selected_alpn_protocol() == "http/1.1"
plain.write(b"GET / HTTP/1.1\\r\\n\\r\\n")
assert plain.read(4) == b"HTTP" and plain.pending() > 4
for name in "", None:
    try:
        context.wrap_socket(socket.create_connection(("example.org", 443)), server_hostname=name)
    except ValueError as error:
        assert str(error) == "check_hostname requires server_hostname"
    else:
        assert False`);
  assert.equal(result, 'fine', JSON.stringify(error));
});
