"""What functions import to call other functions of their own space: `from serverledge import call, acall, CallError`. All three
are there without an import, too. `from serverledge import kv, akv, KvError` is the key-value state of the space.

The names and what they do are those of the container runtime `python`; here the host answers at once.
"""

import json

import _serverledge

__all__ = ["CallError", "KvError", "acall", "akv", "call", "kv"]

LENGTH_BYTES = 4
# The longest operation that the node takes, with its value.
OPERATION_BYTES_MAX = 6 << 20


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


from_json = json.JSONDecoder(parse_constant=refuse_constant).decode
to_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
to_ascii_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class CallError(Exception):
    """A call gave no result. `code` is stable, such as `function_unknown` or `call_would_deadlock`; the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class KvError(Exception):
    """An operation on a store was not carried out. `code` is stable, such as `kv_full`; the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def call(name, args=None):
    """Runs the function of this name with these arguments (what JSON can hold; `{}` if there are none), waits, and returns its
    result. Raises CallError."""
    check_invoked(CallError)
    if not isinstance(name, str):
        raise CallError("invalid_name", f"a function's name is a string, not {type(name).__name__}")
    try:
        params = to_json({} if args is None else args).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CallError("invalid_params", f"the arguments cannot be written as JSON: {error}") from None
    if not name:
        raise CallError("invalid_name", "a function's name has at least one character")
    answer, is_error = _serverledge.call(name.encode("utf-8", "replace"), params)
    value = from_json(str(answer, "utf-8"))
    if is_error:
        raise CallError(value.get("error", "internal"), value.get("message", ""))
    return value


async def acall(name, args=None):
    """The same for `async` functions. The others wait meanwhile."""
    return call(name, args)


def check_invoked(error):
    if not _serverledge.invoked():
        raise error("call_refused", "there is no invocation that could call: it has not begun")


# --- key-value state ---

READERS = {
    "text": lambda value: str(value, "utf-8"),
    "json": lambda value: from_json(str(value, "utf-8")),
    "bytes": bytes,
}


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
        return ask(self.name, op, given, value, read)


class AsyncStore(Store):
    """The same for `async` functions: each operation is awaited."""

    async def _ask(self, op, given, value, read):
        return ask(self.name, op, given, value, read)


def ask(store, op, given, value, read):
    check_invoked(KvError)
    if not isinstance(store, str):
        raise KvError("kv_store_invalid", f"the name of a store is a string, not {type(store).__name__}")
    if not isinstance(given.get("key", ""), str):
        raise KvError("kv_key_invalid", f"a key is a string, not {type(given['key']).__name__}")
    try:
        head = to_json({"op": op, "store": store, **given}).encode()
    except (TypeError, ValueError) as error:
        raise KvError("kv_request_invalid", f"the operation cannot be written as JSON: {error}") from None
    request = b"%s%s%s" % (len(head).to_bytes(LENGTH_BYTES, "little"), head, value)
    if len(request) > OPERATION_BYTES_MAX:
        raise KvError("kv_value_too_large", f"an operation may have {OPERATION_BYTES_MAX} bytes, its value included")
    answer, is_error = _serverledge.kv(request)
    if is_error:
        fault = from_json(str(answer, "utf-8"))
        raise KvError(fault.get("error", "kv_unavailable"), fault.get("message", ""))
    end = LENGTH_BYTES + int.from_bytes(answer[:LENGTH_BYTES], "little")
    return read(from_json(str(answer[LENGTH_BYTES:end], "utf-8")), answer[end:])


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
        return (value if isinstance(value, str) else to_json(value)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise KvError("kv_request_invalid", f"the value cannot be written: {error}") from None


def lifetime(ttl):
    if ttl is None:
        return {}
    if not isinstance(ttl, (int, float)) or not 0.001 <= ttl < 1e12:
        raise KvError("kv_ttl_invalid", f"a lifetime is a number of seconds, at least 0.001, not {ttl!r}")
    return {"ttl_ms": round(ttl * 1000)}


kv = Store()
akv = AsyncStore()
