"""A node of its own for the conformance run: starts it on a free port with temporary data, deploys, and calls."""

import base64
import http.client
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))
from bench import node  # noqa: E402

# Compiling 30 MB with a debug build on a busy machine.
DEPLOY_SECONDS_MAX = 1500
CALL_SECONDS_MAX = 120


class Refused(Exception):
    """A deploy or a call that the node refused, or a function that failed: the problem document it gave."""

    def __init__(self, status, problem):
        self.status, self.problem = status, problem
        self.code = problem.get("code", "")
        self.sentence = problem.get("detail") or f"status {status}"
        self.output = problem.get("output") or ""
        super().__init__(self.sentence)


class NodeEnded(Exception):
    """The node closed the connection or does not answer any more."""


class ConformanceNode:
    """A running node; one that has ended is started again by the next `ready`."""

    def __init__(self, scratch, folder, settings):
        self.scratch, self.folder, self.settings = scratch, folder, settings
        self.server, self.number = None, 0
        # One connection for calls, so that p50 is the time of a call.
        self.connection = None

    def ready(self):
        if self.server is not None and self.server.process.poll() is None:
            return
        self.number += 1
        data = os.path.join(self.scratch, f"node{self.number}")
        os.mkdir(data)
        # Where the servers of tests are.
        settings = {"outbound.allow": "127.0.0.0/8", **dict(self.settings)}
        self.server = node(data, folder=self.folder, settings=settings)
        self.connection = None

    def stop(self):
        if self.server is not None and self.server.process.poll() is None:
            self.server.stop()

    def request(self, method, path, body=None, headers=(), seconds=CALL_SECONDS_MAX):
        """Status, headers and body of the reply."""
        self.ready()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.server.host, self.server.port)
        self.connection.timeout = seconds
        if self.connection.sock is not None:
            self.connection.sock.settimeout(seconds)
        try:
            self.connection.request(method, path, body, dict(headers))
            response = self.connection.getresponse()
            return response.status, response.headers, response.read()
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            self.connection = None
            if self.server.process.poll() is not None:
                raise NodeEnded(f"the node ended with status {self.server.process.returncode}") from error
            raise NodeEnded(f"no whole reply: {error!r}") from error

    def deploy(self, name, code, members):
        """Deploys a function, or replaces it; returns the seconds that it took."""
        body = {"Name": name, "Runtime": "wasm", "TarFunctionCode": base64.b64encode(code).decode(), **members}
        # The node closes connections that are idle, as this one may have been while a module was built.
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        # A new node and its connection are no part of a deploy.
        self.request("GET", "/healthz")
        began = time.perf_counter()
        status, _, text = self.request("POST", "/update", json.dumps(body), seconds=DEPLOY_SECONDS_MAX)
        took = time.perf_counter() - began
        if status != 200:
            raise Refused(status, problem_of(text))
        return took

    def delete(self, name):
        self.request("POST", "/delete", json.dumps({"Name": name}))

    def invoke(self, name, params):
        """The reply of `/invoke`, with the function's log as `Output`."""
        status, _, text = self.request("POST", f"/invoke/{name}", json.dumps({"Params": params, "ReturnOutput": True}))
        if status != 200:
            raise Refused(status, problem_of(text))
        return json.loads(text)

    def log(self, invocation):
        """What an invocation wrote to its log. Before each line the node says when it was written."""
        status, _, text = self.request("GET", f"/invocations/{invocation}/logs")
        if status != 200:
            return ""
        lines = text.decode(errors="replace").splitlines(keepends=True)
        return "".join(line.split(" ", 1)[-1] for line in lines)


def problem_of(text):
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": text.decode(errors="replace")[:300]}
