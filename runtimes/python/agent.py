"""The agent inside every Serverledge `python` container: it receives one function, then runs its invocations.

What it says to the node is in docs/container-protocol.md. It runs as `agent.py [RUN_DIR APP_DIR]`; tests give the two
folders, which are /run/serverledge and /app in a container. Python's own library is all it needs, 3.9 or newer.
"""

# Only what is built into the interpreter is imported here: the socket has to be there soon.
import _contextvars
import _signal
import _socket
import _thread
import io
import os
import sys
import time

PROTOCOL = 1

# Bounds against a peer gone wrong; the node has its own, tighter ones.
HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 512 * 1024 * 1024
MESSAGE_CHARS_MAX = 16 * 1024
STACK_CHARS_MAX = 64 * 1024
RECEIVE_BYTES = 64 * 1024

# What is printed waits so long at most for more of it, or for the answer.
PAUSE_SECONDS = 0.01
# The thread that sees to that rests when it has had nothing to do for so many pauses.
PAUSES_UNTIL_REST = 100

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
           411: "Length Required", 413: "Content Too Large", 422: "Unprocessable Content",
           431: "Request Header Fields Too Large"}

# === what functions print ===


class Tail:
    """The end of what one invocation, or loading, prints. Each byte is moved at most twice, however much comes.

    Where there is a channel, what is kept goes there once a pause, ahead of the answer. The thread that has the lock can
    take it again: a finalizer may print at any time."""

    __slots__ = ("kept", "limit", "cut", "open", "lock", "channel", "begun", "capability")

    def __init__(self, limit, channel=None, capability=""):
        self.capability = capability
        self.kept = bytearray()
        self.limit = limit
        self.cut = False
        self.open = True
        self.lock = _thread.RLock()
        self.channel = channel
        self.begun = False

    def add(self, data):
        """False if it is too late: what a thread prints after the end is no longer this invocation's."""
        with self.lock:
            if not self.open:
                return False
            if len(data) > self.limit:
                data = data[len(data) - self.limit:]
                self.cut = True
            kept = self.kept
            kept += data
            if len(kept) > 2 * self.limit:
                del kept[:len(kept) - self.limit]
                self.cut = True
            channel = self.channel
            if channel is not None:
                # print() writes a line in several parts: none goes out before its end, unless that does not come.
                if data[-1:] == b"\n" and time.monotonic() - channel.sent_at >= PAUSE_SECONDS:
                    self.send()
                elif self not in channel.waiting.tails:
                    channel.waiting.add(self)
        return True

    def send(self):
        """Sends what is kept, as a chunk of the answer."""
        with self.lock:
            if self.open and self.kept:
                piece = frame(b"l", self.take())
                self.channel.send(b"%s%x\r\n%s\r\n" % (b"" if self.begun else BEGIN_CHUNKED, len(piece), piece))
                self.begun = True

    def take(self):
        kept, self.kept = self.kept, bytearray()
        if len(kept) > self.limit:
            del kept[:len(kept) - self.limit]
            self.cut = True
        if self.cut:
            # At most three bytes of a character can be left of its cut beginning.
            broken = 0
            while broken < min(3, len(kept)) and kept[broken] & 0xC0 == 0x80:
                broken += 1
            del kept[:broken]
            self.cut = False
        return kept

    def close(self):
        with self.lock:
            self.open = False
            return self.take() if self.kept else b""

    def answer(self, kind, output):
        """What ends the answer, or all of it where nothing was sent ahead."""
        log = self.close()
        frames = frame(b"l", log) + frame(kind, output) if log else frame(kind, output)
        if self.begun:
            return b"%x\r\n%s\r\n0\r\n\r\n" % (len(frames), frames)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(frames), frames)


BEGIN_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(kind, data):
    return b"%s%s%s" % (kind, len(data).to_bytes(4, "big"), data)


class Waiting:
    """The invocations whose output waits for the pause to end, and the thread that sends it then. Waking it for each of them
    would cost more than the invocation does: once awake it looks around each pause, until nothing has come for a while."""

    def __init__(self):
        self.tails = set()
        self.awake = False
        # Nothing that prints may wait here, and a pipe has no lock.
        self.asleep, self.wake = os.pipe()

    def add(self, tail):
        self.tails.add(tail)
        if not self.awake:
            self.awake = True
            os.write(self.wake, b"1")

    def watch(self):
        while True:
            os.read(self.asleep, 64)
            pauses = 0
            while pauses < PAUSES_UNTIL_REST:
                time.sleep(PAUSE_SECONDS)
                pauses = 0 if self.tails else pauses + 1
                self.send()
            self.awake = False
            # One may have come in this moment, and have seen that nobody has to be woken.
            for tail in tuple(self.tails):
                self.add(tail)

    def send(self):
        for tail in tuple(self.tails):
            self.tails.discard(tail)
            tail.send()


# Whose output this thread or task produces.
current = _contextvars.ContextVar("serverledge_output", default=None)


class Output(io.RawIOBase):
    """Stands where stdout or stderr was: hands what is printed to the invocation it belongs to, else to the container's log."""

    # The only invocation, where there is never more than one: its threads and callbacks carry no context variable.
    only = None

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, data):
        if type(data) is not bytes:
            data = bytes(data)
        tail = current.get()
        if tail is None or not tail.open:
            tail = Output.only
        if tail is None or not tail.add(data):
            write_all(self.descriptor, data)
        return len(data)

    def close(self):
        """Does nothing: a function that closes its stdout must not silence the invocations after it."""


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


def capture_output():
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        text = io.TextIOWrapper(Output(descriptor), "utf-8", "backslashreplace", write_through=True)
        text.mode = "w"
        setattr(sys, name, text)


def forget_invocations():
    """In a process that a function forks: the answer is its parent's to give."""
    current.set(None)
    Output.only = None


def let_threads_inherit_output(threading):
    """What a thread prints belongs to the invocation that started it. Python does this by itself from 3.14 on, if asked."""
    start = threading.Thread.start

    def start_with_output(thread):
        tail = current.get()
        if tail is not None:
            run = thread.run

            def run_with_output():
                current.set(tail)
                run()

            thread.run = run_with_output
        start(thread)

    threading.Thread.start = start_with_output


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
    """One function, or none yet, and the connections through which it is called."""

    def __init__(self, app_dir, run_dir):
        import json
        import threading
        self.call_path = f"{run_dir}/call.sock"
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
        self.waiting = Waiting()

    def serve(self, descriptor):
        """Answers one connection's requests, one after the other, until the other side closes it."""
        connection = _socket.socket(fileno=descriptor)
        channel = Channel(connection, self.waiting)
        pending = b""
        try:
            while True:
                request = read_request(connection, pending)
                if request is None:
                    return
                method, path, headers, body, pending = request
                if path == "/invoke" and method == "POST":
                    connection.sendall(self.invoke(headers, body, channel))
                    channel.sent_at = time.monotonic()
                else:
                    connection.sendall(self.answer(method, path, body))
                # Neither must stay in memory until the next request.
                request = body = None
        except Malformed as error:
            self.refuse(connection, error)
        except OSError:
            # The node has gone, and with it whoever could be told.
            pass
        finally:
            connection.close()

    def refuse(self, connection, error):
        try:
            connection.sendall(self.message(error.status, str(error), b"connection: close\r\n"))
        except OSError:
            pass

    def answer(self, method, path, body):
        known = {"/health": "GET", "/bind": "POST", "/invoke": "POST"}.get(path)
        if known is None:
            return self.message(404, f"there is no {path}")
        if known != method:
            return self.message(405, f"{path} takes {known}")
        return self.bind(body) if path == "/bind" else self.health()

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

    def bind(self, body):
        if self.bind_taken.locked():
            return self.message(409, "this container has its function already")
        try:
            function = serverledge_function.Function(body, self.from_json)
        except (ValueError, RecursionError) as error:
            return self.message(400, f"the body is malformed: {error}")
        if not self.bind_taken.acquire(False):
            return self.message(409, "this container has its function already")
        tail = Tail(function.log_bytes_max)
        token = current.set(tail)
        Output.only = tail
        try:
            status, value = self.load(function)
        finally:
            current.reset(token)
            Output.only = None
        value["log"] = tail.close().decode("utf-8", "replace")
        return self.respond(status, value)

    def load(self, function):
        try:
            function.write(self.code_dir)
            os.environ.update(function.variables)
            if "TZ" in function.variables:
                time.tzset()
            os.chdir(self.code_dir)
            function.forget_contents()
            self.alone = function.concurrency == 1
            if not self.alone:
                let_threads_inherit_output(self.threading)
            self.function = function
            offer_calls(self)
            handler = serverledge_function.load(function.handler, self.code_dir, self.packages_dir)
            call, self.wants_context = serverledge_function.adapt(handler)
            collect_only_what_comes_later()
            self.call = call
            return 200, {}
        except serverledge_function.NoHandler as error:
            return 422, {"code": "handler_missing", "error": "HandlerMissing", "message": str(error), "stack": ""}
        except BaseException as error:
            return 422, {"code": "load_failed", **describe(error, self.code_dir)}

    # --- invoke ---

    def invoke(self, headers, body, channel):
        call = self.call
        if call is None:
            return self.message(409, "no function is bound")
        try:
            params = self.from_json(str(body, "utf-8"))
        except (ValueError, RecursionError) as error:
            return self.message(400, f"the parameters are not JSON: {error}")
        tail = Tail(self.function.log_bytes_max, channel, headers.get("serverledge-call", ""))
        token = current.set(tail)
        if self.alone:
            Output.only = tail
        try:
            result = call(params, serverledge_function.context_of(headers) if self.wants_context else None)
            if hasattr(type(result), "__await__"):
                result = self.wait_for(result)
            kind, output = self.output_of(result)
        except SystemExit as error:
            self.leave(error)
        except BaseException as error:
            kind, output = b"e", self.to_ascii_json(describe(error, self.code_dir)).encode()
        finally:
            current.reset(token)
            Output.only = None
        return tail.answer(kind, output)

    def wait_for(self, awaitable):
        """Runs an async handler's result to its end. A loop is used again, the latest first: where calls come one at a
        time there is only one, so that what a function keeps between calls stays with the loop it was made on."""
        try:
            loop = self.idle_loops.pop()
        except IndexError:
            import asyncio
            loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(awaitable if hasattr(awaitable, "cr_frame") else as_coroutine(awaitable))
        finally:
            self.idle_loops.append(loop)

    def output_of(self, result):
        try:
            text = self.to_json(result)
        except (TypeError, ValueError, RecursionError) as error:
            return b"b", self.error(type(error).__name__, f"the result cannot be written as JSON: {error}")
        try:
            output = text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair: JSON can name it, UTF-8 cannot hold it.
            output = self.to_ascii_json(result).encode()
        limit = self.function.output_bytes_max
        if len(output) > limit:
            return b"t", self.error(
                "OutputTooLarge", f"the result has {len(output)} bytes and may have {limit}")
        return b"r", output

    def error(self, name, message):
        return self.to_ascii_json({"error": name, "message": shorten(message, MESSAGE_CHARS_MAX), "stack": ""}).encode()

    def leave(self, error):
        """Ends the process as sys.exit() asked, when all that was printed has been sent."""
        code = error.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
        self.waiting.send()
        os._exit((code or 0) & 0xFF)


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
    global serverledge, serverledge_function
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, folder)
    import serverledge
    import serverledge_function
    sys.path.remove(folder)


def offer_calls(agent):
    """Functions find `call`, `acall` and `CallError` without an import, and under `serverledge`."""
    import builtins
    parts = serverledge.Agent
    parts.path, parts.to_json, parts.from_json = agent.call_path, agent.to_ascii_json, agent.from_json
    parts.capability = staticmethod(capability)
    builtins.call, builtins.acall, builtins.CallError = serverledge.call, serverledge.acall, serverledge.CallError


def capability():
    """Of the invocation that this thread or task belongs to."""
    tail = current.get()
    if tail is None or not tail.open:
        tail = Output.only
    return tail.capability if tail is not None and tail.open else ""


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


def main():
    run_dir, app_dir = sys.argv[1:3] if len(sys.argv) > 2 else ("/run/serverledge", "/app")
    # The first process of a container ignores signals that it has no handler for.
    _signal.signal(_signal.SIGTERM, lambda *_: os._exit(143))
    listener = listen(run_dir)
    # The rest of the start happens while the node connects.
    import_parts()
    prepare_as_site_does()
    capture_output()
    agent = Agent(app_dir, run_dir)
    sys.argv[1:] = []
    os.register_at_fork(after_in_child=forget_invocations)
    _thread.start_new_thread(agent.waiting.watch, ())
    _thread.start_new_thread(preload, (agent,))
    while True:
        try:
            descriptor, _ = listener._accept()
        except OSError:
            # Out of descriptors: some will be closed.
            time.sleep(0.01)
            continue
        try:
            _thread.start_new_thread(agent.serve, (descriptor,))
        except RuntimeError:
            os.close(descriptor)


if __name__ == "__main__":
    main()
