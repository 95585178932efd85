"""Calls of other functions, as the agents make them: each agent against a second socket on which a test plays the node."""

import json
import os
import socket
import threading
import unittest

from support import ANSWER_SECONDS, Agent, AgentInImage, docker_has, wait_for

CAPABILITY, OTHER = "a1" * 32, "b2" * 32
EXTENSIONS = {"python": "py", "nodejs": "js"}
PARAMS_BYTES_MAX = 6 << 20

# The function of each test, in both languages; every one answers what its calls came to.
PYTHON = {
    "one": """
def handler(params):
    try:
        return ['result', call(params['name'], params['args'])] if 'args' in params else ['result', call(params['name'])]
    except CallError as error:
        return ['error', error.code, str(error)]
""",
    "uncaught": "def handler(params): return call('inner', {})",
    "large": "def handler(params): return len(call('inner', {'text': 'x' * params['chars']})['text'])",
    "large_refused": """
def handler(params):
    try:
        return call('inner', 'x' * params['chars'])
    except CallError as error:
        return error.code
""",
    "many": """
import asyncio
async def handler(params):
    async def one(number):
        try:
            return await acall('inner', number)
        except CallError as error:
            return error.code
    return await asyncio.gather(*(one(number) for number in range(params['count'])))
""",
    "imported": """
import serverledge
from serverledge import acall as other_acall, call as other_call, CallError as OtherError
same = (other_call is call, other_acall is acall, OtherError is CallError, serverledge.call is call)
def handler(params): return [all(same), other_call('inner', 1)]
""",
    "loading": """
try:
    outcome = call('inner', 1)
except CallError as error:
    outcome = error.code
def handler(params): return outcome
""",
    "late": """
import threading
go, done, outcomes = threading.Event(), threading.Event(), []
def late():
    go.wait()
    try:
        outcomes.append(call('inner', 1))
    except CallError as error:
        outcomes.append(error.code)
    done.set()
def handler(params):
    if params == 'begin':
        threading.Thread(target=late, daemon=True).start()
        return 'begun'
    go.set()
    done.wait()
    return outcomes
""",
    "not_json": """
def code_of(args):
    try:
        return call('inner', args)
    except CallError as error:
        return error.code
def handler(params):
    circle = []
    circle.append(circle)
    return [code_of(circle)]
""",
}

NODEJS = {
    "one": """
exports.handler = async (params) => {
  try {
    return ['result', 'args' in params ? await call(params.name, params.args) : await call(params.name)];
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    return ['error', error.code, error.message];
  }
};""",
    "uncaught": "exports.handler = (params) => call('inner', {});",
    "large": """
exports.handler = async (params) => (await call('inner', { text: 'x'.repeat(params.chars) })).text.length;""",
    "large_refused": """
exports.handler = (params) => call('inner', 'x'.repeat(params.chars)).catch((error) => error.code);""",
    "many": """
exports.handler = (params) =>
  Promise.all(Array.from({ length: params.count }, (_, number) => call('inner', number).catch((error) => error.code)));""",
    "imported": """
const offered = require('serverledge');
exports.handler = async () => [offered.call === call && offered.CallError === CallError, await offered.call('inner', 1)];""",
    "loading": """
const outcome = call('inner', 1).catch((error) => error.code);
exports.handler = () => outcome;""",
    "late": """
let go, late;
const began = new Promise((resolve) => { go = resolve; });
exports.handler = async (params) => {
  if (params === 'begin') {
    late = began.then(() => call('inner', 1)).then((result) => [result], (error) => [error.code]);
    return 'begun';
  }
  go();
  return late;
};""",
    "not_json": """
exports.handler = async () => {
  const circle = [];
  circle.push(circle);
  return Promise.all([circle].map((args) => call('inner', args).catch((error) => error.code)));
};""",
}
FUNCTIONS = {"python": PYTHON, "nodejs": NODEJS}


class Node:
    """The node's end of the second socket. `answer(name, args)` says what comes back: bytes, as they are, None to close without an answer, or
    "wait" for the caller to give up. `calls` are capability, name and arguments of what came; `gone` counts callers who gave up."""

    def __init__(self, agent, answer):
        self.answer, self.calls, self.gone = answer, [], 0
        path = f"{agent.run_dir}/call.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(ANSWER_SECONDS)
        with connection, connection.makefile("rb") as reader:
            capability = reader.read(64).decode()
            name_length, args_length = int.from_bytes(reader.read(2), "big"), int.from_bytes(reader.read(4), "big")
            name, args = reader.read(name_length).decode(), reader.read(args_length)
            # As the node does: what is too long is read, counted, and thrown away.
            args = f"{args_length} bytes" if args_length > PARAMS_BYTES_MAX else json.loads(args)
            self.calls.append((capability, name, args))
            answer = self.answer(name, args)
            if answer == "wait":
                self.gone += connection.recv(1) == b""
            elif answer is not None:
                connection.sendall(answer)


def frame(kind, value):
    body = json.dumps(value).encode()
    return kind + len(body).to_bytes(4, "big") + body


def result(value):
    return frame(b"r", value)


def error(code, message="no", kind=b"e"):
    return frame(kind, {"error": code, "message": message})


class Calls:
    """The tests; the classes at the end say of which agent."""

    runtime = None
    kind = Agent

    def bound(self, source, answer=None, **more):
        """A connection to a new agent with this function, and the node it calls; without `answer` there is no socket."""
        self.agent = self.kind(self.runtime)
        self.addCleanup(self.agent.close)
        if answer is not None:
            self.node = Node(self.agent, answer)
            self.addCleanup(self.node.close)
        source = FUNCTIONS[self.runtime].get(source, source)
        connection = self.agent.connect()
        bound = connection.bind({f"main.{EXTENSIONS[self.runtime]}": source}, **more)
        self.assertEqual(bound.status, 200, bound)
        return connection

    def came_to(self, connection, params, capability=CAPABILITY):
        answer = connection.invoke(params, {"serverledge-call": capability} if capability else {})
        self.assertEqual((answer.status, answer.outcome), (200, "result"), answer)
        return answer.json

    def test_a_call_carries_its_invocations_capability_and_gives_the_result(self):
        connection = self.bound("one", lambda name, args: result({"from": name, "args": args}))
        for args in ({"a": 1}, None, [], "ä\u2028", 2.5, {"__proto__": {"x": 1}, "constructor": 2}):
            value = self.came_to(connection, {"name": "inner", "args": args})
            # In Python `None` means no arguments, and both languages send `{}` for no arguments.
            sent = {} if args is None and self.runtime == "python" else args
            self.assertEqual(value, ["result", {"from": "inner", "args": sent}])
        self.assertEqual(self.came_to(connection, {"name": "fünf"}), ["result", {"from": "fünf", "args": {}}])
        self.assertEqual({capability for capability, _, _ in self.node.calls}, {CAPABILITY})
        self.assertEqual(len(self.node.calls), 7)

    def test_each_invocation_calls_with_its_own_capability(self):
        connection = self.bound("one", lambda name, args: result(args))
        for capability in (CAPABILITY, OTHER):
            self.came_to(connection, {"name": "inner"}, capability)
        self.assertEqual([capability for capability, _, _ in self.node.calls], [CAPABILITY, OTHER])

    def test_errors_have_their_code(self):
        answers = {"unknown": error("function_unknown", "there is none"), "dead": error("call_refused", kind=b"x"),
                   "deadlock": error("call_would_deadlock")}
        connection = self.bound("one", lambda name, args: answers[name])
        self.assertEqual(self.came_to(connection, {"name": "unknown"}), ["error", "function_unknown", "there is none"])
        self.assertEqual(self.came_to(connection, {"name": "dead"})[1], "call_refused")
        self.assertEqual(self.came_to(connection, {"name": "deadlock"})[1], "call_would_deadlock")

    def test_an_error_that_nobody_catches_fails_the_invocation(self):
        connection = self.bound("uncaught", lambda name, args: error("function_failed", "the reason"))
        answer = connection.invoke({}, {"serverledge-call": CAPABILITY})
        self.assertEqual((answer.outcome, answer.json["error"], answer.json["message"]), ("error", "CallError", "the reason"))

    def test_calls_at_once(self):
        all_there = threading.Barrier(16)

        def answer(name, number):
            all_there.wait(ANSWER_SECONDS)
            return error(f"odd_{number}") if number % 2 else result(number)

        connection = self.bound("many", answer)
        expected = [f"odd_{number}" if number % 2 else number for number in range(16)]
        self.assertEqual(self.came_to(connection, {"count": 16}), expected)

    def test_concurrent_invocations_call_with_their_own_rights(self):
        both = threading.Barrier(2)

        def answer(name, args):
            both.wait(ANSWER_SECONDS)
            return result(None)

        first = self.bound("one", answer, concurrency=2)
        second = self.agent.connect()
        other = threading.Thread(target=self.came_to, args=(second, {"name": "second"}, OTHER))
        other.start()
        self.came_to(first, {"name": "first"})
        other.join()
        calls = sorted((name, capability) for capability, name, _ in self.node.calls)
        self.assertEqual(calls, [("first", CAPABILITY), ("second", OTHER)])

    def test_without_a_socket_calls_fail_and_say_so(self):
        connection = self.bound("one")
        self.assertEqual(self.came_to(connection, {"name": "inner"})[:2], ["error", "call_broken"])
        self.assertEqual(self.came_to(connection, {"name": "inner"})[:2], ["error", "call_broken"], "the agent goes on")

    def test_answers_that_break_off(self):
        whole = result({"a": 1})
        answers = {"none": None, "kind": whole[:1], "head": whole[:5], "part": whole[:-1], "whole": whole}
        connection = self.bound("one", lambda name, args: answers[name])
        for name in ("none", "kind", "head", "part"):
            self.assertEqual(self.came_to(connection, {"name": name})[:2], ["error", "call_broken"], name)
        self.assertEqual(self.came_to(connection, {"name": "whole"}), ["result", {"a": 1}])

    def test_what_belongs_to_no_invocation_cannot_call(self):
        connection = self.bound("loading", lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {}), "call_refused")
        self.assertEqual(self.node.calls, [])

    def test_an_invocation_without_a_capability_cannot_call(self):
        connection = self.bound("one", lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {"name": "inner"}, None)[:2], ["error", "call_refused"])
        self.assertEqual(self.node.calls, [])

    def test_what_an_ended_invocation_left_behind_cannot_call(self):
        # With one invocation at a time it calls with the rights of the one that runs; else each has its own, and they end.
        connection = self.bound("late", lambda name, args: result(args), concurrency=2)
        self.assertEqual(self.came_to(connection, "begin", CAPABILITY), "begun")
        self.assertEqual(self.came_to(connection, "end", OTHER), ["call_refused"])
        self.assertEqual(self.node.calls, [], "nobody else's capability was used")

    def test_large_arguments_and_results(self):
        connection = self.bound("large", lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {"chars": 5 << 20}), 5 << 20)

    def test_arguments_beyond_the_limit_are_refused(self):
        connection = self.bound("large_refused", lambda name, args: error("params_too_large"))
        self.assertEqual(self.came_to(connection, {"chars": PARAMS_BYTES_MAX}), "params_too_large")
        self.assertEqual(self.node.calls, [(CAPABILITY, "inner", f"{PARAMS_BYTES_MAX + 2} bytes")])

    def test_arguments_that_are_not_json(self):
        connection = self.bound("not_json", lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {}), ["invalid_params"])
        self.assertEqual(self.node.calls, [], "nothing is sent")

    def test_they_can_be_imported(self):
        connection = self.bound("imported", lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {}), [True, 1])


class Python(Calls):
    runtime = "python"

    def test_threads_call_with_the_rights_of_their_invocation(self):
        source = """
import threading
def handler(params):
    results = []
    threads = [threading.Thread(target=lambda: results.append(call('inner', 1))) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return results
"""
        for concurrency in (1, 2):
            connection = self.bound(source, lambda name, args: result(args), concurrency=concurrency)
            self.assertEqual(self.came_to(connection, {}), [1] * 4)
            self.assertEqual({capability for capability, _, _ in self.node.calls}, {CAPABILITY})

    def test_giving_up_closes_the_connection(self):
        source = """
import asyncio
async def handler(params):
    calling = asyncio.ensure_future(acall('waits', 1))
    await acall('tells when that has come', 1)
    calling.cancel()
    try:
        await calling
    except asyncio.CancelledError:
        return 'given up'
"""
        waits = threading.Event()

        def answer(name, args):
            if name == "waits":
                waits.set()
                return "wait"
            waits.wait(ANSWER_SECONDS)
            return result(args)

        connection = self.bound(source, answer)
        self.assertEqual(self.came_to(connection, {}), "given up")
        wait_for("the end of the connection", lambda: self.node.gone == 1)

    def test_what_only_python_could_write(self):
        source = """
def code_of(name, args):
    try:
        return call(name, args)
    except CallError as error:
        return error.code
def handler(params):
    deep = []
    for _ in range(100000): deep = [deep]
    return [code_of('inner', args) for args in (float('nan'), {1, 2}, object(), deep)] + [code_of(7, 1), code_of(None, 1)]
"""
        connection = self.bound(source, lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {}), ["invalid_params"] * 4 + ["invalid_name"] * 2)
        self.assertEqual(self.node.calls, [])


class Nodejs(Calls):
    runtime = "nodejs"

    def test_what_only_javascript_could_write(self):
        source = """
const code = (args) => call('inner', args).catch((error) => error.code);
exports.handler = () => Promise.all([code(1n), code({ toJSON() { throw new Error('no'); } })]);
"""
        connection = self.bound(source, lambda name, args: result(args))
        self.assertEqual(self.came_to(connection, {}), ["invalid_params"] * 2)
        self.assertEqual(self.node.calls, [])


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
