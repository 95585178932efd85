"""What docs/container-protocol.md asks of every agent, asked of each: as a plain process, and in its image."""

import json
import os
import struct
import threading
import unittest

from functions import PACKAGE, function
from support import Agent, AgentInImage, EXTENSIONS, bind_body, docker_has, request_bytes, wait_for

HEADERS = {"serverledge-invocation": "abc-123", "serverledge-function": "hello", "serverledge-deadline": "1700000000123",
           "serverledge-memory": "256"}
CONTEXT = {"invocation_id": "abc-123", "function": "hello", "deadline_ms": 1700000000123, "memory_mb": 256}


class Conformance:
    """The tests; the classes at the end say of which agent."""

    runtime = None
    kind = Agent

    def agent(self, **more):
        agent = self.kind(self.runtime, **more)
        self.addCleanup(agent.close)
        return agent

    def file(self, name, folder=""):
        """The one file of a function, named as a handler is expected to be."""
        return {f"{folder}main.{EXTENSIONS[self.runtime]}": function(name, self.runtime)}

    def bound(self, name, **more):
        """A connection to a new agent that has been given this function."""
        self.an_agent = self.agent()
        connection = self.an_agent.connect()
        answer = connection.bind(self.file(name), **more)
        self.assertEqual(answer.status, 200, answer)
        return connection

    def assert_result(self, answer, value):
        self.assertEqual((answer.status, answer.outcome), (200, "result"), answer)
        self.assertEqual(answer.json, value)

    # === health and the socket ===

    def test_health_before_and_after_bind(self):
        agent = self.agent()
        connection = agent.connect()
        before = connection.request("GET", "/health")
        self.assertEqual((before.status, before.json["protocol"], before.json["runtime"], before.json["bound"]),
                         (200, 1, self.runtime, False))
        self.assertRegex(before.json["version"], r"^\d+\.\d+\.\d+")
        connection.bind(self.file("echo"))
        self.assertIs(connection.request("GET", "/health").json["bound"], True)

    def test_socket_is_open_to_everybody_and_alone_in_its_folder(self):
        agent = self.agent()
        self.assertEqual(os.stat(agent.socket_path).st_mode & 0o777, 0o666)
        self.assertEqual(os.listdir(agent.run_dir), ["agent.sock"])

    def test_socket_serves_after_the_right_to_write_to_its_folder_is_gone(self):
        agent = self.agent()
        os.chmod(agent.run_dir, 0o555)
        self.assertEqual(agent.connect().request("GET", "/health").status, 200)

    # === bind ===

    def test_bind_reports_what_loading_prints(self):
        self.an_agent = self.agent()
        answer = self.an_agent.connect().bind(self.file("print"))
        self.assertEqual((answer.status, answer.json), (200, {"log": "loading\n"}))

    def test_variables_and_secrets_are_there_when_the_module_loads(self):
        connection = self.bound("environment", env={"GREETING": "hi é"}, secrets={"KEY": "s=3\n"})
        self.assert_result(connection.invoke(), ["hi é", "s=3\n", True])

    def test_files_in_folders_with_their_modes(self):
        agent = self.agent()
        connection = agent.connect()
        files = {**self.file("file"), "data/one/two.txt": "två", "run.sh": "#!/bin/sh\n", "data/empty": ""}
        self.assertEqual(connection.bind(files, executable={"run.sh"}).status, 200)
        self.assert_result(connection.invoke(), ["två", True, False])

    def test_a_folder_under_its_own_name(self):
        for handler in ("", "main", "main.handler"):
            connection = self.agent().connect()
            answer = connection.bind({**self.file("echo", "project/"), "project/data/x.txt": "x"}, handler)
            self.assertEqual(answer.status, 200, answer)
            self.assert_result(connection.invoke(5), 5)

    def test_a_module_in_a_folder(self):
        for handler in ("src/lib/main.handler", "src/lib/main"):
            connection = self.agent().connect()
            answer = connection.bind({**self.file("echo", "src/lib/"), "other/readme.txt": "x"}, handler)
            self.assertEqual(answer.status, 200, answer)
            self.assert_result(connection.invoke(5), 5)

    def test_defaults_in_their_order(self):
        extension = EXTENSIONS[self.runtime]
        order = ["main", "handler", "function", "app", "index"] if self.runtime == "python" else [
            "index", "main", "handler", "function", "app"]
        for index, name in enumerate(order):
            connection = self.agent().connect()
            files = {f"{each}.{extension}": function("nothing", self.runtime) for each in order[index + 1:]}
            files[f"{name}.{extension}"] = function("echo", self.runtime)
            files[f"unrelated.{extension}"] = function("nothing", self.runtime)
            self.assertEqual(connection.bind(files).status, 200)
            self.assert_result(connection.invoke(name), name)

    def test_the_only_file(self):
        connection = self.agent().connect()
        self.assertEqual(connection.bind({f"odd-name.{EXTENSIONS[self.runtime]}": function("echo", self.runtime),
                                          "notes.txt": "x"}).status, 200)
        self.assert_result(connection.invoke(1), 1)

    def test_dependencies_of_the_layer(self):
        agent = self.agent(packages=PACKAGE[self.runtime])
        connection = agent.connect()
        self.assertEqual(connection.bind(self.file("uses_package")).status, 200)
        self.assert_result(connection.invoke(), "from the layer")

    def refused(self, files, code, handler=""):
        agent = self.agent()
        connection = agent.connect()
        answer = connection.bind(files, handler)
        self.assertEqual((answer.status, answer.json["code"]), (422, code), answer)
        self.assertEqual(set(answer.json), {"code", "error", "message", "stack", "log"})
        # A function that has failed to load stays so: the container is of no more use.
        self.assertEqual(connection.bind(self.file("echo")).status, 409)
        self.assertEqual(connection.invoke().status, 409)
        self.assertIs(connection.request("GET", "/health").json["bound"], False)
        return answer.json

    def test_syntax_error(self):
        told = self.refused(self.file("syntax_error"), "load_failed")
        self.assertEqual(told["error"], "SyntaxError")
        self.assertIn("main.", told["stack"])

    def test_exception_while_loading(self):
        told = self.refused(self.file("load_error"), "load_failed")
        self.assertIn(told["error"], ("KeyError", "TypeError"))
        self.assertIn("at load", told["message"])
        self.assertEqual(told["log"], "until here\n")
        self.assertIn("main.", told["stack"])
        self.assertNotIn("agent.", told["stack"])

    def test_missing_dependency(self):
        told = self.refused(self.file("missing_import"), "load_failed")
        self.assertIn("nowhere_to_be_found", told["message"])

    def test_missing_handlers(self):
        self.refused(self.file("not_callable"), "handler_missing")
        self.refused(self.file("no_handler"), "handler_missing", "main.handler")
        self.refused(self.file("echo"), "handler_missing", "nowhere.handler")
        self.refused(self.file("echo"), "handler_missing", "../main.handler")
        self.refused(self.file("echo"), "handler_missing", "main.")
        self.refused({"readme.txt": "no code"}, "handler_missing")
        self.refused({}, "handler_missing")

    def test_bind_happens_once(self):
        connection = self.bound("echo")
        self.assertEqual(connection.bind(self.file("nothing")).status, 409)
        self.assert_result(connection.invoke(7), 7)

    def test_malformed_binds_change_nothing(self):
        agent = self.agent()
        connection = agent.connect()
        whole = bind_body(self.file("echo"))
        bad_json = b"{]"
        described = json.loads(whole[4:4 + struct.unpack(">I", whole[:4])[0]])

        def with_head(**changes):
            head = json.dumps({**described, **changes}).encode()
            return struct.pack(">I", len(head)) + head

        bodies = [b"", b"\0\0", b"\xff\xff\xff\xff{}", struct.pack(">I", 2) + bad_json, struct.pack(">I", 2) + b"[]", whole[:-1],
                  whole + b"x", with_head(files=[]) + b"x", with_head(files=[], handler=None), with_head(files=[], log_bytes_max="1"),
                  with_head(files=[], env={"A": 1}), with_head(files=[], env={"A=B": "x"}), with_head(files=[], env=[]),
                  with_head(files=[{"path": "../x", "bytes": 0, "executable": False}]),
                  with_head(files=[{"path": "/x", "bytes": 0, "executable": False}]),
                  with_head(files=[{"path": "x", "bytes": -1, "executable": False}]), with_head(files=["x"])]
        for body in bodies:
            answer = connection.request("POST", "/bind", body)
            self.assertEqual(answer.status, 400, (body[:200], answer))
        self.assertEqual(os.listdir(agent.code_dir), [])
        self.assertEqual(connection.request("POST", "/bind", whole).status, 200)

    def test_bind_in_pieces(self):
        connection = self.agent().connect()
        request = request_bytes("POST", "/bind", bind_body({**self.file("echo"), "big.bin": os.urandom(5_000_000)}))
        for start in range(0, len(request), 1_000_003):
            connection.send(request[start:start + 1_000_003])
        self.assertEqual(connection.read().status, 200)
        self.assert_result(connection.invoke([1]), [1])

    # === invoke: what the handler is given, and gives ===

    def test_every_order_of_parameters(self):
        for name in ("params_context", "context_params", "ctx_event", "unused_context", "unnamed", "async_context"):
            with self.subTest(name):
                self.assert_result(self.bound(name).invoke({"a": 1}, HEADERS), [{"a": 1}, CONTEXT])
        self.assert_result(self.bound("only_context").invoke({"a": 1}, HEADERS), [None, CONTEXT])

    def test_the_context_has_the_trace_where_there_is_one(self):
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        self.assert_result(self.bound("only_context").invoke({}, HEADERS | trace), [None, CONTEXT | trace])
        trace["tracestate"] = "a=1,b=2"
        self.assert_result(self.bound("only_context").invoke({}, HEADERS | trace), [None, CONTEXT | trace])
        self.assert_result(self.bound("no_parameters").invoke({"a": 1}, HEADERS), "none")

    def test_every_kind_of_value(self):
        connection = self.bound("echo")
        for value in (None, True, 0, -1.5, 1e300, "", "text", [], {}, [1, [2, {"a": None}]], {"ключ": "значение 🦀 \u2028"},
                      2 ** 53 - 1, "\0\x1f\"\\/"):
            self.assert_result(connection.invoke(value), value)

    def test_nothing_is_null(self):
        answer = self.bound("nothing").invoke({})
        self.assertEqual((answer.outcome, answer.raw_result), ("result", b"null"))

    def test_module_stays_loaded(self):
        connection = self.bound("counter")
        for count in (1, 2, 3):
            self.assert_result(connection.invoke(), count)
        self.assert_result(self.an_agent.connect().invoke(), 4)

    def test_large_parameters_and_results(self):
        value = "0123456789ä" * 570_000
        self.assert_result(self.bound("echo", output_bytes_max=8_000_000).invoke(value), value)

    def test_parameters_that_are_not_json(self):
        connection = self.bound("echo")
        for body in (b"", b"{", b"{'a':1}", b"[1,]", b"\xff\xfe", b'"\xc3"', b"NaN", b"[Infinity]", b"undefined", b"1 2"):
            self.assertEqual(connection.request("POST", "/invoke", body).status, 400, body)
        self.assert_result(connection.invoke(1), 1)

    def test_invoke_before_bind(self):
        self.assertEqual(self.agent().connect().invoke().status, 409)

    # === errors ===

    def test_exception(self):
        answer = self.bound("raise").invoke({"text": "это не так"})
        self.assertEqual((answer.status, answer.outcome, answer.log), (200, "error", "before\n"))
        told = answer.json
        self.assertEqual(set(told), {"error", "message", "stack"})
        self.assertEqual((told["error"], told["message"]), ("ValueError" if self.runtime == "python" else "RangeError", "это не так"))
        self.assertIn("inner", told["stack"])
        self.assertIn("main.", told["stack"])
        for foreign in ("agent.", "node:internal", "importlib"):
            self.assertNotIn(foreign, told["stack"])

    def test_exception_of_an_async_handler(self):
        answer = self.bound("raise_later").invoke({"text": "later"})
        self.assertEqual((answer.outcome, answer.json["message"]), ("error", "later"))
        self.assertIn("inner", answer.json["stack"])
        for foreign in ("agent.", "node:internal", "asyncio"):
            self.assertNotIn(foreign, answer.json["stack"])

    def test_endless_recursion(self):
        connection = self.bound("recursion")
        for _ in range(2):
            answer = connection.invoke({})
            self.assertEqual((answer.outcome, answer.json["error"]),
                             ("error", "RecursionError" if self.runtime == "python" else "RangeError"))

    def test_enormous_message_is_shortened(self):
        answer = self.bound("raise").invoke({"text": "m" * 1_000_000})
        self.assertEqual(answer.outcome, "error")
        self.assertLess(len(answer.raw_result), 200_000)

    def test_results_that_are_not_json(self):
        for name in ("circular", "not_json"):
            answer = self.bound(name).invoke()
            self.assertEqual((answer.status, answer.outcome), (200, "bad-output"), answer)
            self.assertEqual(set(answer.json), {"error", "message", "stack"})

    def test_half_a_character_is_escaped(self):
        self.assertEqual(self.bound("half_a_character").invoke().raw_result, b'"\\ud83d"')

    def test_result_of_just_the_allowed_size_and_of_more(self):
        connection = self.bound("long_result", output_bytes_max=1002)
        self.assert_result(connection.invoke(500), "é" * 500)
        answer = connection.invoke(501)
        self.assertEqual((answer.status, answer.outcome), (200, "output-too-large"))
        self.assertIn("1004", answer.json["message"])

    def test_exit_ends_the_process_without_an_answer(self):
        connection = self.bound("exit")
        with self.assertRaises(ConnectionError):
            connection.invoke(7)
        self.assertEqual(self.an_agent.wait_for_end(), 7)
        self.assertIn(b"last words", connection.partial)

    def test_sigterm_ends_the_process(self):
        agent = self.agent()
        os.kill(agent.pid(), 15)
        self.assertEqual(agent.wait_for_end(), 143)

    # === what is printed ===

    def test_output_of_one_invocation(self):
        connection = self.bound("print")
        for text in ("a", "żółć 🦀"):
            answer = connection.invoke({"text": text})
            self.assert_result(answer, len(text))
            self.assertEqual(answer.log, f"to stdout {text}\nto stderr\nno end of line")

    def test_what_is_printed_is_sent_before_the_end(self):
        connection = self.bound("print_and_stay", concurrency=2)
        connection.send(request_bytes("POST", "/invoke", b"60"))
        seen = connection.read_until(b"no end of line")
        self.assertIn(b"transfer-encoding: chunked", seen)
        self.assertIn(b"first\n", seen)
        # On another connection, to the same function.
        answer = self.an_agent.connect().invoke(0.05)
        self.assert_result(answer, None)
        self.assertEqual(answer.log, "first\nno end of linelast\n")

    def test_the_log_of_an_endless_loop(self):
        connection = self.bound("print_and_spin")
        connection.send(request_bytes("POST", "/invoke", b"{}"))
        connection.read_until(b"l\0\0\0\x0bstill here\n")

    def test_short_answers_are_sent_in_one_write(self):
        connection = self.bound("print")
        # The first line ever goes out at once. Right after that, the next call's words wait for its end.
        answers = [connection.invoke({"text": "a"}) for _ in range(20)]
        self.assertTrue(any("content-length" in answer.headers for answer in answers))
        self.assertEqual({answer.log for answer in answers}, {"to stdout a\nto stderr\nno end of line"})
        self.assertIn("content-length", self.bound("echo").invoke().headers)

    def test_only_the_end_of_much_output(self):
        connection = self.bound("print_many", log_bytes_max=1000)
        answer = connection.invoke({"lines": 50_000, "text": "x" * 30})
        self.assertTrue(answer.log.startswith(f"line 0 {'x' * 30}\n"))
        self.assertTrue(answer.log.endswith(f"line 49999 {'x' * 30}\n"))
        self.assertLessEqual(max(map(len, answer.pieces)), 1000)
        self.assertLessEqual(len(connection.invoke({"lines": 1, "text": ""}).raw_log), 20)

    def test_log_is_cut_at_a_character(self):
        connection = self.bound("print_once", log_bytes_max=1001)
        for text, size in (("é", 1000), ("€", 999), ("🦀", 1000), ("a", 1001)):
            for times in (1000, 100_000):
                answer = connection.invoke({"text": text, "times": times})
                # At most three bytes are given up, so that what remains is whole. It is printed in one write: one piece.
                self.assertEqual(answer.log, text * (size // len(text.encode())) if times * len(text.encode()) > 1001 else text * times)

    def test_output_of_exactly_the_limit_is_whole(self):
        self.assertEqual(self.bound("print_once", log_bytes_max=1000).invoke({"text": "é", "times": 500}).log, "é" * 500)

    def test_no_log_at_all(self):
        answer = self.bound("print", log_bytes_max=0).invoke({"text": "abc"})
        self.assertEqual((answer.json, answer.raw_log), (3, b""))

    def test_much_output_costs_no_memory(self):
        connection = self.bound("print_many")
        connection.invoke({"lines": 1000, "text": "x"})
        before = self.resident()
        answer = connection.invoke({"lines": 200_000, "text": "x" * 1000})
        # At most the end of what comes between two pieces, one in 10 ms: not the 200 MB that were printed.
        self.assertLess(len(answer.raw_log), 50_000_000)
        self.assertLess(self.resident() - before, 40_000_000)

    def resident(self):
        with open(f"/proc/{self.an_agent.pid()}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    # === several at once ===

    def invoke_at_once(self, count, rounds, check):
        wrong = []

        def one(name):
            try:
                with self.an_agent.connect() as connection:
                    for number in range(rounds):
                        check(connection, f"{name}-{number}")
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=one, args=(f"caller{index}",)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]

    def test_concurrent_output_is_not_mixed(self):
        self.bound("print_slowly", concurrency=16)

        def check(connection, name):
            answer = connection.invoke({"name": name})
            self.assert_result(answer, name)
            self.assertEqual(answer.log, "".join(f"{name} {number}\n" for number in range(20)))

        self.invoke_at_once(16, 5, check)

    def test_concurrent_output_of_plain_handlers_is_not_mixed(self):
        self.bound("print_many", concurrency=16)

        def check(connection, name):
            answer = connection.invoke({"lines": 200, "text": name})
            self.assertEqual(answer.log, "".join(f"line {number} {name}\n" for number in range(200)))

        self.invoke_at_once(16, 5, check)

    def test_many_connections(self):
        agent = self.agent()
        connections = [agent.connect() for _ in range(100)]
        self.assertEqual(connections[0].bind(self.file("echo")).status, 200)
        for index, connection in enumerate(connections):
            self.assert_result(connection.invoke(index), index)

    # === HTTP ===

    def test_pipelined_requests_are_answered_in_order(self):
        connection = self.bound("print_slowly")
        connection.send(b"".join(request_bytes("POST", "/invoke", json.dumps({"name": f"n{index}"}).encode()) for index in range(5))
                        + request_bytes("GET", "/health"))
        for index in range(5):
            answer = connection.read()
            self.assertEqual((answer.json, answer.log.split()[0]), (f"n{index}", f"n{index}"))
        self.assertIs(connection.read().json["bound"], True)

    def test_request_in_single_bytes(self):
        connection = self.bound("echo")
        for byte in request_bytes("POST", "/invoke", '{"a":"é"}'.encode()) * 2:
            connection.send(bytes((byte,)))
        for _ in range(2):
            self.assert_result(connection.read(), {"a": "é"})

    def test_header_names_in_any_case(self):
        connection = self.bound("only_context")
        connection.send(b"POST /invoke HTTP/1.1\r\nHost: x\r\nSERVERLEDGE-Invocation:abc\r\nContent-LENGTH:   4  \r\n\r\nnull")
        self.assertEqual(connection.read().json[1]["invocation_id"], "abc")

    def test_unknown_paths_and_methods(self):
        connection = self.bound("echo")
        for method, path, status in (("GET", "/", 404), ("POST", "/other", 404), ("GET", "/invoke", 405), ("POST", "/health", 405),
                                     ("PUT", "/bind", 405)):
            self.assertEqual(connection.request(method, path, b"{}").status, status)
        self.assert_result(connection.invoke(1), 1)

    def test_what_is_no_http_is_refused_and_the_connection_closed(self):
        agent = self.agent()
        for data, status in ((b"nonsense\r\n\r\n", 400), (b"POST /invoke HTTP/1.1\r\nno colon\r\n\r\n", 400),
                             (b"POST /invoke HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
                             (b"POST /invoke HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
                             (b"POST /invoke HTTP/1.1\r\n\r\n", 411),
                             (b"POST /invoke HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 411),
                             (b"POST /invoke HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 413),
                             (b"GET /health HTTP/1.1\r\nx: " + b"y" * 100_000, 431)):
            connection = agent.connect()
            connection.send(data)
            self.assertEqual(connection.read().status, status, data[:100])
            with self.assertRaises(ConnectionError):
                connection.read()
        self.assertEqual(agent.connect().request("GET", "/health").status, 200)

    def test_a_connection_that_is_cut_harms_nobody(self):
        self.bound("print_slowly")
        for data in (b"POST /inv", b"POST /invoke HTTP/1.1\r\ncontent-length: 100\r\n\r\n{", request_bytes("POST", "/invoke", b'{"name":"x"}')):
            cut = self.an_agent.connect()
            cut.send(data)
            cut.close()
        connection = self.an_agent.connect()
        wait_for("an answer of its own", lambda: connection.invoke({"name": "y"}).log.startswith("y 0\ny 1\n"))

    def test_expect_continue(self):
        connection = self.bound("echo")
        connection.send(b"POST /invoke HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
        self.assertEqual(connection.read().status, 100)
        connection.send(b"1")
        self.assert_result(connection.read(), 1)


class PythonProcess(Conformance, unittest.TestCase):
    runtime = "python"


class NodejsProcess(Conformance, unittest.TestCase):
    runtime = "nodejs"


@unittest.skipUnless(docker_has("serverledge-python:latest"), "there is no Docker, or no image serverledge-python")
class PythonImage(Conformance, unittest.TestCase):
    runtime = "python"
    kind = AgentInImage


@unittest.skipUnless(docker_has("serverledge-nodejs:latest"), "there is no Docker, or no image serverledge-nodejs")
class NodejsImage(Conformance, unittest.TestCase):
    runtime = "nodejs"
    kind = AgentInImage


if __name__ == "__main__":
    unittest.main()
