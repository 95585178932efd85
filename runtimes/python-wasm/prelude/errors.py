"""Errors in words: an exception as the JSON that the node gets, with the frames of the user's files."""

import sys
import traceback

from _serverledge_importing import CODE

# Together below what the node reads, also where each character takes six bytes of JSON.
NAME_CHARS_MAX = 256
MESSAGE_CHARS_MAX = 8 * 1024
STACK_CHARS_MAX = 24 * 1024
# Exceptions of a group, and causes of causes, that are shown.
GROUP_WIDTH_MAX, GROUP_DEPTH_MAX = 15, 5

OTHER_RUNTIME = "deploy the function with the runtime python, which runs it in a container"
# Packages with compiled parts that many functions name. That others have some is found out when they are sent.
COMPILED = frozenset("""numpy pandas scipy sklearn torch tensorflow PIL cv2 lxml cryptography psycopg2 psycopg asyncpg pymongo
    grpc google matplotlib pyarrow polars orjson ujson uvloop pydantic_core bcrypt nacl greenlet gevent zmq h5py numba
    cffi regex msgspec rpds tokenizers tiktoken shapely duckdb""".split())


def describe(error):
    """The error's type, its message, and a stack. An error can refuse to say what it is."""
    try:
        message = message_of(error)
    except Exception:
        message = "(the error cannot say what it is)"
    return {"error": shorten(name_of(error), NAME_CHARS_MAX), "message": shorten(message, MESSAGE_CHARS_MAX),
            "stack": shorten(stack_of(error), STACK_CHARS_MAX)}


def name_of(error):
    name = type(error).__name__
    return "HandlerMissing" if name == "NoHandler" and type(error).__module__ == "_serverledge_handler" else name


def message_of(error):
    if isinstance(error, SyntaxError):
        return str(error.msg)
    message = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return message + absent(error.name)
    return message


def absent(name):
    """Why there is no module of this name, and where there is one."""
    top = name.partition(".")[0]
    if top in sys.modules:
        return ""
    if top.lstrip("_") in sys.stdlib_module_names or top in sys.stdlib_module_names:
        return f": the runtime python-wasm does not have this part of Python's library; {OTHER_RUNTIME}"
    if top in COMPILED:
        return f": it has compiled parts, which the runtime python-wasm cannot load; {OTHER_RUNTIME}"
    return f": send its files with the function if it is written in Python; else {OTHER_RUNTIME}"


def stack_of(error):
    if name_of(error) == "HandlerMissing":
        return ""
    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True,
                                            max_group_width=GROUP_WIDTH_MAX, max_group_depth=GROUP_DEPTH_MAX)
        keep_own_frames(told)
        return "".join(told.format()).rstrip("\n")
    except Exception:
        return ""


def keep_own_frames(told):
    """Leaves the frames of the user's files: of the library there are no sources, and ours are nobody's matter."""
    waiting, seen = [told], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.stack[:] = [frame for frame in each.stack or () if frame.filename.startswith(CODE)]
        waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]


def shorten(text, limit):
    if len(text) <= limit:
        return text
    return text[:limit // 2] + "\n…\n" + text[len(text) - limit // 2:]


def describe_exit(error):
    code = error.code
    if code is None:
        code = 0
    told = f"code {code}" if isinstance(code, int) else repr(code)
    return {"error": "SystemExit", "message": f"the function has called exit: {shorten(told, MESSAGE_CHARS_MAX)}", "stack": stack_of(error)}


# === deploy ===


def describe_load(error, file):
    described = describe_exit(error) if isinstance(error, SystemExit) else describe(error)
    return {**described, "file": file, **place_of(error, file)}


def place_of(error, file):
    """Where in the user's file it happened: where its syntax is wrong, or the innermost of its frames there."""
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(CODE):
        return {"file": error.filename.removeprefix(CODE), "line": error.lineno or 1, "column": error.offset or 1}
    found = {}
    frames = traceback.extract_tb(error.__traceback__, limit=None)
    for frame in frames:
        if frame.filename.startswith(CODE):
            found = {"file": frame.filename.removeprefix(CODE), "line": frame.lineno, "column": (frame.colno or 0) + 1}
    return found
