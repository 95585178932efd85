"""What functions import to call other functions of their own space: `from serverledge import call, acall, CallError`. All three
are there without an import, too.

The agent loads this, and tells it how to find the invocation that something belongs to. The frames are in
docs/container-protocol.md.
"""

import _socket

__all__ = ["CallError", "acall", "call"]

HEAD_BYTES = 5


class CallError(Exception):
    """A call gave no result. `code` is stable, such as `function_unknown` or `call_would_deadlock`; the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Agent:
    """What the agent gives: the socket's path, the reader and writer of JSON, and the capability of what runs now."""

    path = ""
    to_json = None
    from_json = None

    @staticmethod
    def capability():
        return ""


def call(name, args=None):
    """Runs the function of this name with these arguments (what JSON can hold; `{}` if there are none), waits, and returns its
    result. Raises CallError. May be called from any thread of the invocation."""
    request = request_of(name, args)
    with_node = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        with_node.connect(Agent.path)
        with_node.sendall(request)
        kind, length = head_of(read(with_node, HEAD_BYTES))
        answer = read(with_node, length)
    except OSError as error:
        raise broken(error) from None
    finally:
        with_node.close()
    return result_of(kind, answer)


async def acall(name, args=None):
    """The same for `async` functions: others go on meanwhile. Giving it up gives the call up."""
    import asyncio
    request = request_of(name, args)
    writer = None
    try:
        reader, writer = await asyncio.open_unix_connection(Agent.path)
        writer.write(request)
        await writer.drain()
        kind, length = head_of(await reader.readexactly(HEAD_BYTES))
        answer = await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError) as error:
        raise broken(error) from None
    finally:
        if writer is not None:
            writer.close()
    return result_of(kind, answer)


def request_of(name, args):
    capability = Agent.capability()
    if len(capability) != 64:
        raise CallError("call_refused", "there is no invocation that could call: it has ended, or not begun")
    if not isinstance(name, str):
        raise CallError("invalid_name", f"a function's name is a string, not {type(name).__name__}")
    try:
        params = Agent.to_json({} if args is None else args).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CallError("invalid_params", f"the arguments cannot be written as JSON: {error}") from None
    name = name.encode("utf-8", "replace")
    if len(name) > 0xFFFF or len(params) > 0xFFFFFFFF:
        raise CallError("params_too_large", "the name or the arguments are too long")
    return b"%s%s%s%s%s" % (capability.encode(), len(name).to_bytes(2, "big"), len(params).to_bytes(4, "big"), name, params)


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
