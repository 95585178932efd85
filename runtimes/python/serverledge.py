"""What functions import to call other functions of their own space: `from serverledge import call, acall, CallError`. All three
are there without an import, too. `from serverledge import kv, akv, KvError` is the key-value state of the space.

The agent loads this, and tells it how to find the invocation that something belongs to. The frames are in
docs/container-protocol.md.
"""

import _socket
import _thread
from _collections import deque

__all__ = ["CallError", "KvError", "acall", "akv", "call", "kv"]

HEAD_BYTES = 5


class CallError(Exception):
    """A call gave no result. `code` is stable, such as `function_unknown` or `call_would_deadlock`; the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Agent:
    """What the agent gives: the socket's path, the reader and writer of JSON, the invocation that runs now (None if there is none,
    or it has ended), and the number of its operations that are under way at once."""

    path = ""
    to_json = None
    from_json = None
    operations_at_once = 1

    @staticmethod
    def caller():
        return None


def call(name, args=None):
    """Runs the function of this name with these arguments (what JSON can hold; `{}` if there are none), waits, and returns its
    result. Raises CallError. May be called from any thread of the invocation."""
    request = request_of(name, args)
    try:
        kind, answer = exchange(request)
    except OSError as error:
        raise broken(error) from None
    return result_of(kind, answer)


async def acall(name, args=None):
    """The same for `async` functions: others go on meanwhile. Giving it up gives the call up."""
    request = request_of(name, args)
    try:
        kind, answer = await aexchange(request)
    except (OSError, EOFError) as error:
        raise broken(error) from None
    return result_of(kind, answer)


def request_of(name, args):
    capability = caller_of(CallError).capability
    if not isinstance(name, str):
        raise CallError("invalid_name", f"a function's name is a string, not {type(name).__name__}")
    try:
        params = Agent.to_json({} if args is None else args).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CallError("invalid_params", f"the arguments cannot be written as JSON: {error}") from None
    name = name.encode("utf-8", "replace")
    if len(name) > 0xFFFF or len(params) > 0xFFFFFFFF:
        raise CallError("params_too_large", "the name or the arguments are too long")
    if not name:
        # To the node, a request without a name is one to a store.
        raise CallError("invalid_name", "a function's name has at least one character")
    return framed(capability, name, params)


def caller_of(error):
    caller = Agent.caller()
    if caller is None or len(caller.capability) != 64:
        raise refusal(error)
    return caller


def refusal(error):
    return error("call_refused", "there is no invocation that could call: it has ended, or not begun")


def framed(capability, name, content):
    return b"%s%s%s%s%s" % (capability.encode(), len(name).to_bytes(2, "big"), len(content).to_bytes(4, "big"), name, content)


def exchange(request):
    """Kind and content of the node's answer."""
    with_node = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        with_node.connect(Agent.path)
        with_node.sendall(request)
        kind, length = head_of(read(with_node, HEAD_BYTES))
        return kind, read(with_node, length)
    finally:
        with_node.close()


async def aexchange(request):
    """The same for `async` functions. An answer that breaks off is an EOFError."""
    import asyncio
    writer = None
    try:
        reader, writer = await asyncio.open_unix_connection(Agent.path)
        writer.write(request)
        await writer.drain()
        kind, length = head_of(await reader.readexactly(HEAD_BYTES))
        return kind, await reader.readexactly(length)
    finally:
        if writer is not None:
            writer.close()


def read(with_node, length):
    data = bytearray(length)
    left = memoryview(data)
    while left:
        count = with_node.recv_into(left)
        if count == 0:
            raise OSError("the node closed the connection")
        left = left[count:]
    return data


def head_of(head):
    return head[:1], int.from_bytes(head[1:], "big")


def result_of(kind, answer):
    value = Agent.from_json(str(answer, "utf-8"))
    if kind == b"r":
        return value
    raise CallError(value.get("error", "internal"), value.get("message", ""))


def broken(error):
    return CallError("call_broken", f"the node gave no answer: {error}")


# --- key-value state ---

LENGTH_BYTES = 4
# The longest operation that the node takes, with its value.
OPERATION_BYTES_MAX = 6 << 20
# Operations of one invocation that are under way at once, and those of all together: each has a connection, and a container may
# open 1,024 files.
OPERATIONS_AT_ONCE_MAX, OPERATIONS_MAX = 16, 256
READERS = {
    "text": lambda value: str(value, "utf-8"),
    "json": lambda value: Agent.from_json(str(value, "utf-8")),
    "bytes": bytes,
}


class KvError(Exception):
    """An operation on a store was not carried out. `code` is stable, such as `kv_full`; the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Store:
    """A store of the function's space. Each operation waits for its answer, and raises KvError if it was not carried out."""

    def __init__(self, name="default"):
        self.name = name

    def store(self, name):
        """Another store of the space."""
        return type(self)(name)

    def get(self, key, type="text"):
        """The value of an entry as text, json or bytes; None if there is none."""
        reader = reader_of(type)
        return self._ask("get", {"key": key}, b"", lambda head, value: reader(value) if head["found"] else None)

    def entry(self, key, type="text"):
        """`{"value", "version"}` of an entry; None if there is none."""
        reader = reader_of(type)
        return self._ask("get", {"key": key}, b"", lambda head, value:
                         {"value": reader(value), "version": head["version"]} if head["found"] else None)

    def set(self, key, value, *, ttl=None):
        """Writes an entry: bytes and texts as they are, all else as JSON. `ttl`: the seconds after which it is gone."""
        return self._ask("set", {"key": key, **lifetime(ttl)}, content_of(value), lambda head, _: None)

    def delete(self, key):
        """Deletes an entry. Whether there was one."""
        return self._ask("delete", {"key": key}, b"", lambda head, _: head["deleted"])

    def list(self, *, prefix="", cursor=None, limit=None):
        """`{"keys", "cursor"}`: keys in their order, and what gives the next ones; None at the end."""
        given = {"prefix": prefix, "cursor": cursor, "limit": limit}
        given = {name: value for name, value in given.items() if value is not None}
        return self._ask("list", given, b"", lambda head, _: {"keys": head["keys"], "cursor": head.get("cursor")})

    def compare_and_set(self, key, version, value, *, ttl=None):
        """Writes an entry if it has this version (None: if there is none). Its new version; None if it was not so."""
        expected = None if version is None else str(version)
        return self._ask("compare_and_set", {"key": key, "expected": expected, **lifetime(ttl)}, content_of(value),
                         lambda head, _: head.get("version"))

    def increment(self, key, by=1):
        """Adds to a number; an entry that is not there counts as 0. The sum, however large."""
        if not isinstance(by, int):
            raise KvError("kv_request_invalid", f"what is added is a whole number, not {type(by).__name__}")
        return self._ask("increment", {"key": key, "by": by}, b"", lambda head, _: int(head["value"]))

    def _ask(self, op, given, value, read):
        return self._run(operation_of(self.name, op, given, value), read)

    def _run(self, operation, read):
        caller, request = operation
        with turns_of(caller):
            if not caller.open:
                raise refusal(KvError)
            try:
                kind, answer = exchange(request)
            except OSError as error:
                raise unreached(error) from None
        return reply_of(kind, answer, read)


class AsyncStore(Store):
    """The same for `async` functions: each operation is awaited, and others go on meanwhile."""

    async def _run(self, operation, read):
        caller, request = operation
        async with turns_of(caller):
            if not caller.open:
                raise refusal(KvError)
            try:
                kind, answer = await aexchange(request)
            except (OSError, EOFError) as error:
                raise unreached(error) from None
        return reply_of(kind, answer, read)


class Turns:
    """Lets so many operations at once begin. The others wait in the order in which they came, whether a thread waits for its
    turn or a task of any event loop."""

    def __init__(self, places):
        self.free, self.waiting = places, deque()
        # The thread that has it can take it again: what is destroyed at any time gives its place up.
        self.lock = _thread.RLock()

    def __enter__(self):
        turn = _thread.allocate_lock()
        turn.acquire()
        wake = turn.release
        if self.begin(wake):
            return
        try:
            turn.acquire()
        except BaseException:
            self.give_up(wake)
            raise

    def __exit__(self, *_):
        self.end()

    async def __aenter__(self):
        import asyncio
        loop = asyncio.get_running_loop()
        turn = loop.create_future()

        def arrive():
            if not turn.done():
                turn.set_result(None)

        def wake():
            try:
                loop.call_soon_threadsafe(arrive)
            except RuntimeError:
                # The loop is closed. Its tasks give up what they have when they are destroyed.
                pass

        if self.begin(wake):
            return
        try:
            await turn
        except BaseException:
            self.give_up(wake)
            raise

    async def __aexit__(self, *_):
        self.end()

    def begin(self, wake):
        """Whether there is a place. If not, `wake` is called when there is one."""
        with self.lock:
            if self.free:
                self.free -= 1
                return True
            self.waiting.append(wake)
            return False

    def end(self):
        with self.lock:
            if not self.waiting:
                self.free += 1
                return
            wake = self.waiting.popleft()
        wake()

    def give_up(self, wake):
        with self.lock:
            if wake in self.waiting:
                self.waiting.remove(wake)
                return
        self.end()


def turns_of(caller):
    with caller.lock:
        if caller.turns is None:
            caller.turns = Turns(Agent.operations_at_once)
        return caller.turns


def operation_of(store, op, given, value):
    caller = caller_of(KvError)
    if not isinstance(store, str):
        raise KvError("kv_store_invalid", f"the name of a store is a string, not {type(store).__name__}")
    if not isinstance(given.get("key", ""), str):
        raise KvError("kv_key_invalid", f"a key is a string, not {type(given['key']).__name__}")
    try:
        head = Agent.to_json({"op": op, "store": store, **given}).encode()
    except (TypeError, ValueError) as error:
        raise KvError("kv_request_invalid", f"the operation cannot be written as JSON: {error}") from None
    content = b"%s%s%s" % (len(head).to_bytes(LENGTH_BYTES, "little"), head, value)
    if len(content) > OPERATION_BYTES_MAX:
        raise KvError("kv_value_too_large", f"an operation may have {OPERATION_BYTES_MAX} bytes, its value included")
    return caller, framed(caller.capability, b"", content)


def reply_of(kind, answer, read):
    if kind != b"r":
        fault = Agent.from_json(str(answer, "utf-8"))
        raise KvError(fault.get("error", "kv_unavailable"), fault.get("message", ""))
    end = LENGTH_BYTES + int.from_bytes(answer[:LENGTH_BYTES], "little")
    return read(Agent.from_json(str(answer[LENGTH_BYTES:end], "utf-8")), answer[end:])


def reader_of(type):
    reader = READERS.get(type)
    if reader is None:
        raise KvError("kv_request_invalid", f"a value is read as text, json or bytes, not as {type!r}")

    def read(value):
        try:
            return reader(value)
        except (ValueError, RecursionError) as error:
            raise KvError("kv_value_invalid", f"the value cannot be read as {type}: {error}") from None

    return read


def content_of(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return (value if isinstance(value, str) else Agent.to_json(value)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise KvError("kv_request_invalid", f"the value cannot be written: {error}") from None


def lifetime(ttl):
    if ttl is None:
        return {}
    if not isinstance(ttl, (int, float)) or not 0.001 <= ttl < 1e12:
        raise KvError("kv_ttl_invalid", f"a lifetime is a number of seconds, at least 0.001, not {ttl!r}")
    return {"ttl_ms": round(ttl * 1000)}


def unreached(error):
    return KvError("kv_unavailable", f"the node gave no answer, and may have done what it was asked: {error}")


kv = Store()
akv = AsyncStore()
