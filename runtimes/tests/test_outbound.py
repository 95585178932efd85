"""Requests to hosts outside, as functions send them: each agent against a socket on which a test plays the node's proxy."""

import json
import os
import socket
import threading
import unittest

from support import ANSWER_SECONDS, Agent, AgentInImage, docker_has, wait_for

REASON = "outbound_host_not_allowed: https://b.example is not among the hosts"

PYTHON = {
    "get": """
import urllib.error, urllib.request
def handler(params):
    try:
        with urllib.request.urlopen(params, timeout=20) as response:
            return [response.status, response.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return ['error', str(error)]
""",
    "tunnel": """
import http.client, os, urllib.parse
def handler(params):
    proxy = urllib.parse.urlsplit(os.environ['https_proxy'])
    connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
    connection.set_tunnel('a.example', 80)
    connection.request('POST', '/x', body=b'y' * params)
    return len(connection.getresponse().read())
""",
    "kept": """
import http.client, os, urllib.parse
proxy = urllib.parse.urlsplit(os.environ['http_proxy'])
connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
def handler(params):
    if params == 'again':
        return [connection.sock is not None, connection.sock.recv(1) == b'']
    connection.request('GET', 'http://a.example/')
    return connection.getresponse().read().decode()
""",
    "variables": """
import os
def handler(params): return [os.environ['HTTP_PROXY'], os.environ['no_proxy']]
""",
    "plain": """
import socket
def handler(params): return [name for _, name in socket.if_nameindex()]
""",
}

NODEJS = {
    "get": """
exports.handler = async (url) => {
  try {
    const response = await fetch(url);
    return [response.status, await response.text()];
  } catch (error) {
    return ['error', `${error.message}: ${error.cause?.message}`];
  }
};""",
    "tunnel": """
const http = require('node:http');
exports.handler = (length) => new Promise((resolve, reject) => {
  const request = http.request('http://a.example/x', { method: 'POST' }, (response) => {
    let received = 0;
    response.on('data', (chunk) => { received += chunk.length; }).on('end', () => resolve(received));
  });
  request.on('error', reject).end('y'.repeat(length));
});""",
    "kept": """
const http = require('node:http');
let kept;
exports.handler = (params) => new Promise((resolve, reject) => {
  if (params === 'again') {
    resolve([kept !== undefined, kept.destroyed]);
    return;
  }
  http.get('http://a.example/', (response) => {
    kept = response.socket;
    let text = '';
    response.on('data', (chunk) => { text += chunk; }).on('end', () => resolve(text));
  }).on('error', reject);
});""",
    "variables": "exports.handler = () => [process.env.HTTP_PROXY, process.env.no_proxy];",
}
FUNCTIONS = {"python": PYTHON, "nodejs": NODEJS}
EXTENSIONS = {"python": "py", "nodejs": "js"}


class Node:
    """The node's end of the socket: a proxy that leads everywhere, except to b.example, and has no answer for hangs.example. Whatever
    the host, it answers itself: with the method, the path and the length of the body. `targets` are the first lines of what came, `open` the connections."""

    def __init__(self, agent):
        self.targets, self.open = [], 0
        path = f"{agent.run_dir}/outbound.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(ANSWER_SECONDS)
        reader = connection.makefile("rb")
        self.open += 1
        try:
            while self.answer(connection, reader):
                pass
        except OSError:
            pass
        self.open -= 1
        reader.close()
        connection.close()

    def answer(self, connection, reader):
        first = reader.readline().decode()
        if not first:
            return False
        method, target, _ = first.split()
        length = 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        body = reader.read(length)
        self.targets.append(f"{method} {target}")
        if "b.example" in target:
            said = json.dumps({"error": "outbound_host_not_allowed"}).encode()
            connection.sendall(b"HTTP/1.1 403 %s\r\ncontent-length: %d\r\n\r\n%s" % (REASON.encode(), len(said), said))
        elif "hangs.example" in target:
            return bool(connection.recv(1))
        elif method == "CONNECT":
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            said = f"{method} {target} ".encode() + body
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
        return True

    def close(self):
        self.listener.close()


class Outbound:
    kind = Agent
    runtime = "python"

    def bound(self, function, concurrency=1, **more):
        self.agent = self.kind(self.runtime)
        self.addCleanup(self.agent.close)
        self.node = Node(self.agent)
        self.addCleanup(self.node.close)
        self.connection = self.agent.connect()
        source = FUNCTIONS[self.runtime].get(function, function)
        files = {f"main.{EXTENSIONS[self.runtime]}": source}
        answer = self.connection.bind(files, "main.handler", concurrency=concurrency, outbound=True, **more)
        self.assertEqual(answer.status, 200, answer)

    def came_to(self, params):
        answer = self.connection.invoke(params)
        self.assertEqual(answer.outcome, "result", answer)
        return answer.json

    def test_large_bodies(self):
        self.bound("tunnel")
        length = 3_000_000
        self.assertEqual(self.came_to(length), len("POST /x ") + length)
        self.assertIn("CONNECT a.example:80", self.node.targets)

    def test_connections_end_with_the_invocation(self):
        self.bound("kept")
        self.assertIn("GET ", self.came_to("first"))
        self.assertEqual(self.came_to("again"), [True, True])
        wait_for("the end of the connections", lambda: self.node.open == 0)

    def test_variables(self):
        self.bound("variables", env={"no_proxy": "own"})
        proxy, exceptions = self.came_to(None)
        self.assertRegex(proxy, r"^http://127\.0\.0\.1:\d+$")
        self.assertEqual(exceptions, "own")

    def test_interpreters_that_start_again(self):
        name, value = {"python": ("PYTHONHASHSEED", "1"), "nodejs": ("NODE_NO_WARNINGS", "1")}[self.runtime]
        self.bound("get", env={name: value})
        self.assertEqual(self.came_to("http://a.example/x")[0], 200)

    def test_nothing_is_there_unless_it_is_asked_for(self):
        agent = self.kind(self.runtime)
        self.addCleanup(agent.close)
        source = {"python": "import os\ndef handler(params): return 'http_proxy' in os.environ",
                  "nodejs": "exports.handler = () => 'http_proxy' in process.env;"}[self.runtime]
        connection = agent.connect()
        connection.bind({f"main.{EXTENSIONS[self.runtime]}": source}, "main.handler")
        self.assertEqual(connection.invoke().json, "http_proxy" in os.environ and self.kind is Agent)


class Python(Outbound):
    runtime = "python"

    def test_requests(self):
        self.bound("get")
        self.assertEqual(self.came_to("http://a.example/x"), [200, "GET http://a.example/x "])
        self.assertEqual(self.came_to("http://b.example/"), [403, '{"error": "outbound_host_not_allowed"}'])
        _, words = self.came_to("https://b.example/")
        self.assertIn(REASON, words)
        self.assertEqual(self.node.targets[-1], "CONNECT b.example:443")

    def test_loopback_is_the_only_interface(self):
        if self.kind is Agent:
            self.skipTest("a process has this machine's network")
        self.bound("plain")
        self.assertEqual(self.came_to(None), ["lo"])


class Nodejs(Outbound):
    runtime = "nodejs"

    def test_requests(self):
        self.bound("get")
        self.assertEqual(self.came_to("http://a.example/x"), [200, "GET /x "])
        for url in ["http://b.example/", "https://b.example/"]:
            _, words = self.came_to(url)
            self.assertEqual(words, f"fetch failed: {REASON}")
        self.assertEqual(self.node.targets, ["CONNECT a.example:80", "GET /x", "CONNECT b.example:80",
                                             "CONNECT b.example:443"])

    def test_every_kind_of_connection(self):
        self.bound("""
const [http, https, http2, net, tls] = ['http', 'https', 'http2', 'net', 'tls'].map((name) => require(`node:${name}`));
const failing = (start) => new Promise((resolve) => start().on('error', (error) => resolve(error.code)));
exports.handler = () => Promise.all([
  failing(() => http.get('http://b.example:1/')),
  failing(() => https.get('https://b.example:2/')),
  failing(() => https.get('https://b.example:3/', { agent: new https.Agent({ keepAlive: true }) })),
  failing(() => https.get('https://b.example:4/', { agent: false })),
  failing(() => http2.connect('https://b.example:5')),
  failing(() => net.connect(6, 'b.example')),
  failing(() => new net.Socket().connect({ port: '7', host: 'b.example' })),
  failing(() => tls.connect(8, 'b.example')),
  failing(() => new net.Socket().connect(9, 'b.example', () => {})),
]);""")
        self.assertEqual(self.came_to(None), ["outbound_host_not_allowed"] * 9)
        self.assertEqual(sorted(self.node.targets), [f"CONNECT b.example:{port}" for port in range(1, 10)])

    def test_loopback_is_the_containers_own(self):
        self.bound("""
const http = require('node:http');
exports.handler = async () => {
  const server = http.createServer((request, response) => response.end('own'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const texts = [];
  for (const host of ['127.0.0.1', 'localhost']) {
    texts.push(await (await fetch(`http://${host}:${server.address().port}/`)).text());
  }
  server.close();
  server.closeAllConnections?.();
  return texts;
};""")
        self.assertEqual(self.came_to(None), ["own", "own"])
        self.assertEqual(self.node.targets, [])

    def test_what_speaks_to_a_proxy_itself(self):
        self.bound("""
const http = require('node:http');
exports.handler = (url) => new Promise((resolve, reject) => {
  const { hostname, port } = new URL(process.env.http_proxy);
  http.get({ hostname, port, path: url, agent: false }, (response) => {
    let text = '';
    response.on('data', (chunk) => { text += chunk; }).on('end', () => resolve(text));
  }).on('error', reject);
});""")
        self.assertEqual(self.came_to("https://a.example/x"), "GET https://a.example/x ")

    def test_a_response_that_is_not_read_leaves_the_container_usable(self):
        self.bound("""
exports.handler = async (params) => {
  const response = await fetch('http://a.example/x', { method: 'POST', body: 'y'.repeat(3e6) });
  return response.status;
};""")
        for _ in range(3):
            self.assertEqual(self.came_to(None), 200)
        wait_for("the end of the connections", lambda: self.node.open == 0)
        self.assertNotIn("\x1ex", self.agent.own_log())

    def test_requests_that_are_given_up_leave_nothing(self):
        self.bound("""
const fs = require('node:fs');
exports.handler = async () => {
  await fetch('http://hangs.example/', { signal: AbortSignal.timeout(50) }).catch(() => {});
  return fs.readdirSync('/proc/self/fd').length;
};""")
        counts = []
        for _ in range(10):
            counts.append(self.came_to(None))
            wait_for("the end of the connections", lambda: self.node.open == 0)
        # Two for each, if they stayed.
        self.assertLess(counts[-1] - counts[2], 6, counts)

    def test_texts_that_are_no_hosts_are_refused(self):
        self.bound("""
const net = require('node:net');
const coming = (options) => new Promise((resolve) => {
  try {
    net.connect(options).on('error', (error) => resolve(error.code));
  } catch (error) {
    resolve(error.code);
  }
});
exports.handler = async () => [
  await coming({ host: 'a.example HTTP/1.1', port: 80 }),
  await coming({ host: 'a.example', port: 99999 }),
];""")
        self.assertEqual(self.came_to(None), ["outbound_url_invalid", "ERR_SOCKET_BAD_PORT"])
        self.assertEqual(self.node.targets, [])


class PythonProcess(Python, unittest.TestCase):
    pass


class NodejsProcess(Nodejs, unittest.TestCase):
    pass


@unittest.skipUnless(docker_has("serverledge-python:latest"), "there is no Docker, or no image serverledge-python")
class PythonImage(Python, unittest.TestCase):
    kind = AgentInImage


@unittest.skipUnless(docker_has("serverledge-nodejs:latest"), "there is no Docker, or no image serverledge-nodejs")
class NodejsImage(Nodejs, unittest.TestCase):
    kind = AgentInImage


if __name__ == "__main__":
    unittest.main()
