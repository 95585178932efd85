"""The agent inside every Serverledge `python` container: it receives one function, then runs its invocations.

What it says to the node is in docs/container-protocol.md. It runs as `agent.py [RUN_DIR APP_DIR]`; tests give the two
folders, which are /run/serverledge and /app in a container. Python's own library is all it needs, 3.9 or newer.
"""

# Only what is built into the interpreter is imported here: the socket has to be there soon.
import _signal
import _socket
import _thread
import os
import sys
import time

PROTOCOL = 1

# Functions get another one.
leave_now = os._exit

# Bounds against a peer gone wrong; the node has its own, tighter ones.
HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 512 * 1024 * 1024
MESSAGE_CHARS_MAX = 16 * 1024
STACK_CHARS_MAX = 64 * 1024
RECEIVE_BYTES = 64 * 1024

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
           411: "Length Required", 413: "Content Too Large", 422: "Unprocessable Content",
           431: "Request Header Fields Too Large"}

# === errors in words ===


def describe(error, code_dir):
    """An exception as the node wants it: its type, its message, and a stack that begins in the function's own code."""
    try:
        message = str(error)
    except BaseException:
        message = "(the error cannot say what it is)"
    return {"error": type(error).__name__, "message": shorten(message, MESSAGE_CHARS_MAX),
            "stack": shorten(stack_of(error, code_dir), STACK_CHARS_MAX)}


def stack_of(error, code_dir):
    import traceback
    frame = error.__traceback__
    while frame is not None and not frame.tb_frame.f_code.co_filename.startswith(code_dir):
        frame = frame.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frame)).rstrip("\n")
    except Exception:
        return ""


def shorten(text, limit):
    if len(text) <= limit:
        return text
    return text[:limit // 2] + "\n…\n" + text[len(text) - limit // 2:]


# === HTTP ===


class Channel:
    """A connection's way back, and when an invocation's answer, or a piece of one, last went there."""

    __slots__ = ("connection", "waiting", "sent_at")

    def __init__(self, connection, waiting):
        self.connection = connection
        self.waiting = waiting
        self.sent_at = float("-inf")

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            # The node has gone; the connection's own thread will see it.
            pass
        self.sent_at = time.monotonic()


class Malformed(Exception):
    """A request after which nobody knows where the next one begins: it is answered and the connection closed."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def read_request(connection, pending):
    """The next request as (method, path, headers, body, what came after it); None at the end of the connection."""
    while True:
        head_end = pending.find(b"\r\n\r\n")
        if head_end >= 0:
            break
        if len(pending) > HEAD_BYTES_MAX:
            raise Malformed(431, "the headers are too long")
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            return None
        pending = pending + more if pending else more
    lines = pending[:head_end].decode("latin-1").split("\r\n")
    start = lines[0].split(" ")
    if len(start) != 3 or not start[2].startswith("HTTP/1."):
        raise Malformed(400, "this is no HTTP/1.1 request")
    headers = {}
    for index in range(1, len(lines)):
        name, colon, value = lines[index].partition(":")
        if not colon:
            raise Malformed(400, "a header has no colon")
        headers[name.lower()] = value.strip()
    length = body_length(start[0], headers)
    body_end = head_end + 4 + length
    if len(pending) >= body_end:
        return start[0], start[1], headers, pending[head_end + 4:body_end], pending[body_end:]
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = read_rest(connection, pending[head_end + 4:], length)
    return None if body is None else (start[0], start[1], headers, body, b"")


def body_length(method, headers):
    length = headers.get("content-length")
    if "transfer-encoding" in headers or (length is None and method == "POST"):
        raise Malformed(411, "a body needs a content-length")
    if length is None:
        return 0
    if not length.isdecimal():
        raise Malformed(400, "the content-length is no number")
    # Twelve digits are more than enough, and int() takes its time for millions of them.
    if len(length) > 12 or int(length) > BODY_BYTES_MAX:
        raise Malformed(413, "the body is too large")
    return int(length)


def read_rest(connection, begun, length):
    body = bytearray(length)
    body[:len(begun)] = begun
    left = memoryview(body)[len(begun):]
    while left:
        count = connection.recv_into(left)
        if count == 0:
            return None
        left = left[count:]
    return body


# === the agent ===


class Agent:
    """One function, or none yet, and the connections through which it is called.

    The main thread loads the function. Where calls come one at a time it serves them as well, on the connection that they come
    on: event loops, signal handlers and database connections work as in a program. Each other connection has a thread."""

    def __init__(self, app_dir, run_dir, listener):
        import json
        import threading
        self.call_path = f"{run_dir}/call.sock"
        self.outbound_path = f"{run_dir}/outbound.sock"
        # The way to hosts outside, where the function may send requests.
        self.outbound = None
        self.code_dir = f"{app_dir}/code"
        self.packages_dir = f"{app_dir}/python"
        self.threading = threading
        self.from_json = json.JSONDecoder(parse_constant=refuse_constant).decode
        self.to_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
        self.to_ascii_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
        # Taken by the first bind and never given back, whether it succeeds or not.
        self.bind_taken = threading.Lock()
        self.function = None
        self.call = None
        self.wants_context = False
        self.alone = True
        self.idle_loops = []
        self.waiting = output.Waiting()
        self.listener = listener
        self.path_entries = []
        # The command that started this process, for another start; and whether it is that one.
        self.command = sys.argv[:]
        self.restarted = False
        # Connections that the main thread is to go on with, each with the request that it is about.
        self.for_main = []
        self.main_rests = _thread.allocate_lock()
        self.main_rests.acquire()
        # The connection that the main thread serves.
        self.main_serves = None

    # --- connections and threads ---

    def accept(self):
        while True:
            try:
                descriptor, _ = self.listener._accept()
            except OSError:
                # Out of descriptors: some will be closed.
                time.sleep(0.01)
                continue
            try:
                _thread.start_new_thread(self.serve, (descriptor,))
            except RuntimeError:
                os.close(descriptor)

    def serve(self, descriptor):
        """A new connection, in a thread of its own."""
        connection = _socket.socket(fileno=descriptor)
        self.serve_requests(connection, Channel(connection, self.waiting), None, b"", False)

    def serve_requests(self, connection, channel, request, pending, in_main):
        """Answers one connection's requests, one after the other, until the other side closes it or another thread goes on."""
        try:
            while True:
                if request is None:
                    request = self.next_request(connection, pending) if in_main else read_request(connection, pending)
                    if request is None:
                        break
                method, path, headers, body, pending = request
                if path == "/invoke" and method == "POST":
                    if not in_main and self.alone and self.call is not None:
                        return self.give_to_main(connection, channel, request)
                    connection.sendall(self.invoke(headers, body, channel))
                    channel.sent_at = time.monotonic()
                    if in_main and "asyncio" in sys.modules:
                        keep_a_loop()
                elif path == "/bind" and method == "POST" and not in_main and not self.bind_taken.locked():
                    return self.give_to_main(connection, channel, request)
                else:
                    connection.sendall(self.answer(method, path, body, connection))
                    if in_main and not (self.alone and self.call is not None):
                        _thread.start_new_thread(self.serve_requests, (connection, channel, None, pending, False))
                        return
                # Neither must stay in memory until the next request.
                request = body = None
        except Malformed as error:
            self.refuse(connection, error)
        except OSError:
            # The node has gone, and with it whoever could be told.
            pass
        connection.close()

    def give_to_main(self, connection, channel, request):
        """The main thread goes on with this connection. One that it waits on is closed: calls come one at a time, and so the
        node has done with it."""
        self.for_main.append((connection, channel, request))
        before = self.main_serves
        if before is not None:
            try:
                before.shutdown(_socket.SHUT_RD)
            except OSError:
                pass
        if self.main_rests.locked():
            try:
                self.main_rests.release()
            except RuntimeError:
                pass

    def go_on(self, descriptor, body):
        """In a process that was started again: with the function that it was started again for."""
        self.restarted = True
        connection = _socket.socket(fileno=descriptor)
        self.for_main.append((connection, Channel(connection, self.waiting), ("POST", "/bind", {}, body, b"")))

    def run_main(self):
        """The main thread, for as long as the process lives: whatever a function's signal handlers raise while it waits."""
        while True:
            try:
                while self.for_main:
                    connection, channel, request = self.for_main.pop(0)
                    self.main_serves = connection
                    self.serve_requests(connection, channel, request, request[4], True)
                    self.main_serves = None
                self.main_rests.acquire()
            except BaseException as error:
                report_stray(error, self.code_dir)
                self.main_serves = None

    def next_request(self, connection, pending):
        """What a signal's handler raises while nothing is called is nobody's failure."""
        while True:
            try:
                return read_request(connection, pending)
            except Malformed:
                raise
            except OSError as error:
                # An error of the system has a number; one that a handler raises, such as TimeoutError, has none.
                if error.errno is not None:
                    raise
                report_stray(error, self.code_dir)
            except BaseException as error:
                report_stray(error, self.code_dir)

    def refuse(self, connection, error):
        try:
            connection.sendall(self.message(error.status, str(error), b"connection: close\r\n"))
        except OSError:
            pass

    def answer(self, method, path, body, connection):
        known = {"/health": "GET", "/bind": "POST", "/invoke": "POST"}.get(path)
        if known is None:
            return self.message(404, f"there is no {path}")
        if known != method:
            return self.message(405, f"{path} takes {known}")
        return self.bind(body, connection) if path == "/bind" else self.health()

    def health(self):
        return self.respond(200, {"protocol": PROTOCOL, "runtime": "python", "version": sys.version.split()[0],
                                  "bound": self.call is not None})

    def message(self, status, text, headers=b""):
        return self.respond(status, {"message": text}, headers)

    def respond(self, status, value, headers=b""):
        body = self.to_ascii_json(value).encode()
        return b"HTTP/1.1 %d %s\r\n%scontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
            status, REASONS[status].encode(), headers, len(body), body)

    # --- bind ---

    def bind(self, body, connection):
        if self.bind_taken.locked():
            return self.message(409, "this container has its function already")
        try:
            function = serverledge_function.Function(body, self.from_json)
        except (ValueError, RecursionError) as error:
            return self.message(400, f"the body is malformed: {error}")
        if not self.bind_taken.acquire(False):
            return self.message(409, "this container has its function already")
        tail = output.Tail(function.log_bytes_max)
        token = output.current.set(tail)
        output.Output.only = tail
        try:
            status, value = self.load(function, body, connection)
        finally:
            output.current.reset(token)
            output.Output.only = None
        value["log"] = tail.close().decode("utf-8", "replace")
        return self.respond(status, value)

    def load(self, function, body, connection):
        try:
            self.settle_variables(function, body, connection)
            function.forget_contents()
            self.alone = function.concurrency == 1
            output.let_threads_inherit_output(self.threading)
            output.Tail.with_times = function.log_times
            self.function = function
            offer_calls(self)
            sys.path[:0] = self.path_entries
            handler = serverledge_function.load(function.handler, self.code_dir, self.packages_dir)
            call, self.wants_context = serverledge_function.adapt(handler)
            collect_only_what_comes_later()
            self.call = call
            return 200, {}
        except serverledge_function.NoHandler as error:
            return 422, {"code": "handler_missing", "error": "HandlerMissing", "message": str(error), "stack": ""}
        except serverledge_start.RefusedVariable as error:
            return 422, {"code": "load_failed", "error": "RefusedVariable", "message": str(error), "stack": ""}
        except BaseException as error:
            return 422, {"code": "load_failed", **describe(error, self.code_dir)}

    def settle_variables(self, function, body, connection):
        """Files and variables as the function finds them. Those that are read when Python starts need another start, once."""
        names = serverledge_start.names_for_start(function.variables)
        if not self.restarted:
            function.write(self.code_dir)
            os.chdir(self.code_dir)
            if names:
                variables = {name: function.variables[name] for name in names}
                serverledge_start.start_again(variables, self.command, body, (self.listener.fileno(), connection.fileno()))
        if function.outbound:
            self.outbound = serverledge_outbound.Outbound(self.outbound_path)
            _thread.start_new_thread(self.outbound.run, ())
        os.environ.update(function.variables)
        if "TZ" in function.variables:
            time.tzset()

    # --- invoke ---

    def invoke(self, headers, body, channel):
        call = self.call
        if call is None:
            return self.message(409, "no function is bound")
        try:
            params = self.from_json(str(body, "utf-8"))
        except (ValueError, RecursionError) as error:
            return self.message(400, f"the parameters are not JSON: {error}")
        tail = output.Tail(self.function.log_bytes_max, channel, headers.get("serverledge-call", ""),
                           headers.get("serverledge-invocation", ""))
        token = output.current.set(tail)
        if self.alone:
            output.Output.only = tail
        output.follow_work()
        try:
            result = call(params, serverledge_function.context_of(headers) if self.wants_context else None)
            if hasattr(type(result), "__await__"):
                result = self.wait_for(result)
            kind, value = self.output_of(result)
        except SystemExit as error:
            self.leave(error)
        except BaseException as error:
            kind, value = b"e", self.to_ascii_json(describe(error, self.code_dir)).encode()
        finally:
            output.current.reset(token)
            output.Output.only = None
        if self.outbound is not None and self.alone:
            self.outbound.close_all()
        return tail.answer(kind, value)

    def wait_for(self, awaitable):
        """Runs an async handler's result to its end. A loop is used again, the latest first. Where calls come one at a time it
        is the main thread's: what a function keeps between calls, or made when it was loaded, stays with its loop."""
        if self.alone:
            loop = keep_a_loop()
            if loop is not None:
                return output.run_to_its_end(loop, awaitable if hasattr(awaitable, "cr_frame") else as_coroutine(awaitable))
        try:
            loop = self.idle_loops.pop()
        except IndexError:
            import asyncio
            loop = asyncio.new_event_loop()
        try:
            return output.run_to_its_end(loop, awaitable if hasattr(awaitable, "cr_frame") else as_coroutine(awaitable))
        finally:
            self.idle_loops.append(loop)

    def output_of(self, result):
        try:
            text = self.to_json(result)
        except (TypeError, ValueError, RecursionError) as error:
            return b"b", self.error(type(error).__name__, f"the result cannot be written as JSON: {error}")
        try:
            value = text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair: JSON can name it, UTF-8 cannot hold it.
            value = self.to_ascii_json(result).encode()
        limit = self.function.output_bytes_max
        if len(value) > limit:
            return b"t", self.error(
                "OutputTooLarge", f"the result has {len(value)} bytes and may have {limit}")
        return b"r", value

    def error(self, name, message):
        return self.to_ascii_json({"error": name, "message": shorten(message, MESSAGE_CHARS_MAX), "stack": ""}).encode()

    def leave(self, error):
        """Ends the process as sys.exit() asked, when all that was printed has been sent."""
        code = error.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
        self.waiting.send()
        leave_now((code or 0) & 0xFF)


def keep_a_loop():
    """The main thread's event loop, a new one if it was closed or taken away, as `asyncio.run` does; None if the function has
    replaced the policy with one that keeps loops elsewhere."""
    import asyncio
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    if policy is None:
        policy = getattr(asyncio.events, "_get_event_loop_policy", asyncio.get_event_loop_policy)()
    local = getattr(policy, "_local", None)
    if local is None:
        return None
    loop = getattr(local, "_loop", None)
    if loop is None or loop.is_closed():
        loop = policy.new_event_loop()
        policy.set_event_loop(loop)
    return loop


def report_stray(error, code_dir):
    told = describe(error, code_dir)
    text = told["stack"] or f"{told['error']}: {told['message']}"
    try:
        output.write_all(2, f"not caught: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass


async def as_coroutine(awaitable):
    return await awaitable


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def collect_only_what_comes_later():
    """Modules stay for ever: going through them at each collection would be time lost."""
    import gc
    gc.collect()
    gc.freeze()


# === start ===


def listen(run_dir):
    """The socket appears under its name only when connections to it will be accepted."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    path = f"{run_dir}/agent.sock"
    unready = f"{run_dir}/.agent.{os.getpid()}"
    listener.bind(unready)
    os.chmod(unready, 0o666)
    listener.listen(128)
    os.rename(unready, path)
    return listener


def import_parts():
    """What is not needed until a function comes."""
    global serverledge, serverledge_function, serverledge_outbound, serverledge_start, output
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, folder)
    import serverledge
    import serverledge_function
    import serverledge_outbound
    import serverledge_output as output
    import serverledge_start
    sys.path.remove(folder)


def offer_calls(agent):
    """Functions find `call`, `acall` and `CallError` without an import, and under `serverledge`."""
    import builtins
    parts = serverledge.Agent
    parts.path, parts.to_json, parts.from_json = agent.call_path, agent.to_ascii_json, agent.from_json
    parts.caller = staticmethod(caller)
    at_once = serverledge.OPERATIONS_MAX // max(agent.function.concurrency, 1)
    parts.operations_at_once = max(1, min(serverledge.OPERATIONS_AT_ONCE_MAX, at_once))
    builtins.call, builtins.acall, builtins.CallError = serverledge.call, serverledge.acall, serverledge.CallError


def caller():
    """The invocation that this thread or task belongs to; None if it has ended."""
    tail = output.current.get()
    if tail is None or not tail.open:
        # A thread that was started for one invocation may work for the next.
        tail = output.Output.only
    return tail if tail is not None and tail.open else None


def prepare_as_site_does():
    """The interpreter runs without its `site` module, which is slow; functions may still use these two."""
    import builtins
    builtins.exit = builtins.quit = sys.exit
    # The agent's own folder is no place for a function's imports.
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]


def preload(agent):
    """A container that waits for a function can as well load what the first error would have to."""
    time.sleep(0.1)
    if not agent.bind_taken.locked():
        import traceback  # noqa: F401


def set_aside_path():
    """The entries of PYTHONPATH, out of the way until the function is loaded: the agent's own imports are not its business."""
    if sys.flags.ignore_environment:
        return []
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(":") if entry]
    named = {*entries, *map(os.path.abspath, entries)}
    set_aside = [entry for entry in sys.path if entry in named]
    sys.path[:] = [entry for entry in sys.path if entry not in named]
    return set_aside


def folders():
    return sys.argv[1:3] if len(sys.argv) > 2 else ("/run/serverledge", "/app")


def main():
    # The first process of a container ignores signals that it has no handler for.
    _signal.signal(_signal.SIGTERM, lambda *_: leave_now(143))
    path_entries = set_aside_path()
    taken = None
    if "--bound" not in sys.argv:
        listener = listen(folders()[0])
    # The rest of the start happens while the node connects.
    import_parts()
    prepare_as_site_does()
    if "--bound" in sys.argv:
        taken = serverledge_start.take_over()
        listener = _socket.socket(fileno=taken[0])
    output.capture_output()
    output.exit_only_in_time()
    run_dir, app_dir = folders()
    agent = Agent(app_dir, run_dir, listener)
    agent.path_entries = path_entries
    sys.argv[1:] = []
    os.register_at_fork(after_in_child=output.forget_invocations)
    _thread.start_new_thread(agent.waiting.watch, ())
    if taken is None:
        _thread.start_new_thread(preload, (agent,))
    else:
        agent.go_on(*taken[1:])
    _thread.start_new_thread(agent.accept, ())
    agent.run_main()


if __name__ == "__main__":
    main()
