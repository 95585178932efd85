"""The functions of examples/ do what its table says. Those with packages need a node, which installs them."""

import http.server
import os
import threading
import unittest

from support import Agent, RUNTIMES

EXAMPLES = os.path.join(os.path.dirname(RUNTIMES), "examples")


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"a page")

    def log_message(self, *_):
        """Nothing: the tests' output is theirs."""


class Examples(unittest.TestCase):
    def call(self, file, handler, params, headers=None):
        runtime = "python" if file.endswith(".py") else "nodejs"
        with open(f"{EXAMPLES}/{file}", encoding="utf-8") as source, Agent(runtime) as agent:
            connection = agent.connect()
            bound = connection.bind({file: source.read()}, handler)
            self.assertEqual(bound.status, 200, bound)
            return connection.invoke(params, {"serverledge-function": "example", **(headers or {})})

    def test_hello(self):
        for file, handler in (("hello.py", "hello.handler"), ("hello.js", "hello"), ("hello.py", ""), ("hello.js", "")):
            answer = self.call(file, handler, {"name": "edge"})
            self.assertEqual((answer.json, answer.log), ({"message": "Hello, edge!", "function": "example"}, "greeting edge\n"))
            self.assertEqual(self.call(file, handler, {}).json["message"], "Hello, world!")

    def test_isprime(self):
        for number, prime in ((1000003, True), (1000001, False), (2, True), (1, False), (25, False), ("97", True)):
            self.assertEqual(self.call("isprime.py", "isprime.handler", {"n": number}).json, {"n": int(number), "prime": prime})
        self.assertEqual(self.call("isprime.py", "isprime.handler", {"n": 10 ** 20}).outcome, "error")

    def test_fibonacci(self):
        answer = self.call("fibonacci.py", "fibonacci.handler", {"n": 100})
        self.assertEqual(answer.json, {"n": 100, "fibonacci": "354224848179261915075", "computed": 99})

    def test_sieve(self):
        self.assertEqual(self.call("sieve.js", "sieve", {"limit": 1_000_000}).json, {"limit": 1_000_000, "count": 78498, "largest": 999983})
        self.assertEqual(self.call("sieve.js", "sieve", {"limit": -1}).json["error"], "RangeError")

    def test_fetch(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), Greeter)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        answer = self.call("async_fetch.js", "async_fetch.handler", {"url": f"http://127.0.0.1:{server.server_port}/"})
        self.assertEqual([answer.json[key] for key in ("status", "type", "characters", "begins")], [200, "text/plain", 6, "a page"])
        self.assertEqual(self.call("async_fetch.js", "async_fetch.handler", {"url": "file:///"}).json["error"], "TypeError")


if __name__ == "__main__":
    unittest.main()
