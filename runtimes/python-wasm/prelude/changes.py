"""What is changed in Python's library: what cannot work here says so, and what must differ from call to call does."""

import builtins
import sys

import _serverledge
import _serverledge_rehearsal as rehearsal
import serverledge
from _serverledge_errors import OTHER_RUNTIME
from _serverledge_importing import library

CO_COROUTINE = 0x80
# Where the data of the time zones are in the library.
ZONES = "zoneinfo/"
# Modules whose place none of a function takes: those that CPython has loaded before it runs a file, and ours.
LOADED_FIRST = frozenset((
    "_collections_abc", "abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath", "serverledge", "stat"))

# What is called at the beginning and at the end of each invocation.
beginnings, endings = [], []
# The function's files; the names of their modules that the library has as well, and the library's modules of these
# names.
files, shadowed, hidden = None, frozenset(), {}


def make():
    builtins.call, builtins.acall, builtins.CallError = serverledge.call, serverledge.acall, serverledge.CallError
    import _thread
    for name in "start_new_thread", "start_new", "start_joinable_thread":
        setattr(_thread, name, _serverledge.builtin(no_thread, "_thread", name))
    for name, change in CHANGES.items():
        library.call_after(name, change)
    for name in rehearsal.REHEARSED:
        library.call_after(name, rehearse)
        # The prelude itself has imported some.
        if name in sys.modules:
            rehearse(sys.modules[name])


def rehearse(module):
    """Not where a module of the function's has the place of one of the library: it would run there."""
    if not shadowed:
        rehearsal.rehearse(module)


def no_thread(*arguments, **keywords):
    raise RuntimeError(f"the runtime python-wasm has no threads: use asyncio, or {OTHER_RUNTIME}")


def change_asyncio(module):
    # It puts its event loop in.
    own("_serverledge_async")


def change_random(module):
    # No two invocations draw the same numbers. The method is that of the library, whatever the name becomes.
    beginnings.append(module._inst.seed)


def change_hashlib(module):
    own("_serverledge_kdf").add(module)


def change_subprocess(module):
    class Popen(module.Popen):
        def __init__(self, *arguments, **keywords):
            raise OSError(58, f"the runtime python-wasm has no processes: {OTHER_RUNTIME}")

        def __del__(self):
            pass

    module.Popen = Popen


def change_socket(module):
    # It puts its own in.
    own("_serverledge_sockets")


def change_client(module):
    own("_serverledge_sockets").rehearse_client(module)


def change_opener(module):
    sockets = own("_serverledge_sockets")
    sockets.change_opener(module)
    sockets.rehearse_opener(module)


def change_zones(module):
    def load_tzdata(key):
        data = _serverledge.data(f"{ZONES}{key}")
        if data is None:
            raise module.ZoneInfoNotFoundError(f"No time zone found with key {key}")
        import io
        return io.BytesIO(data)

    module.load_tzdata = load_tzdata


def change_zone_names(module):
    module.available_timezones = lambda: {name.removeprefix(ZONES) for name in _serverledge.names() if name.startswith(ZONES)}


CHANGES = {
    "asyncio": change_asyncio, "hashlib": change_hashlib, "http.client": change_client, "random": change_random,
    "socket": change_socket, "subprocess": change_subprocess, "urllib.request": change_opener,
    "zoneinfo._common": change_zones, "zoneinfo._tzpath": change_zone_names}


def is_async(function):
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def renew():
    """At the beginning of an invocation."""
    for begin in beginnings:
        begin()


def finish():
    """At its end."""
    for end in endings:
        end()


# === modules of the function that are called like those of the library ===


def make_room(given, handler):
    """From now on a name is that of the function's module, where the library has one as well: as in CPython, which
    looks into the folder of the file first. But the handler's file has the library's module of its own name."""
    global files, shadowed
    files = given
    tops = {path.removeprefix(root).partition("/")[0] for root in files.roots for path in files.contents}
    names = {top.removesuffix(".py") for top in tops} - LOADED_FIRST - {handler}
    shadowed = frozenset(name for name in names if is_in_library(name) and files.file_of(name)[0] is not None)
    hidden.update(take_shadowed())
    if is_in_library(handler):
        try:
            past(__import__, handler)
        except ImportError:
            pass


def is_in_library(name):
    return _serverledge.is_package(name) is not None


def take_shadowed():
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in shadowed}


def own(name):
    """A module of the runtime, with what it imports of the library."""
    if shadowed:
        past(__import__, name)
    else:
        __import__(name)
    return sys.modules.get(name) or hidden[name]


def past(function, *arguments):
    """Calls a function for which the function's own modules of such names are not there."""
    if files not in sys.meta_path:
        return function(*arguments)
    at, theirs = sys.meta_path.index(files), take_shadowed()
    del sys.meta_path[at]
    sys.modules.update(hidden)
    try:
        return function(*arguments)
    finally:
        sys.meta_path.insert(at, files)
        hidden.update(take_shadowed())
        sys.modules.update(theirs)
