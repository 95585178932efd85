"""What is changed in Python's library: what cannot work here says so, and what must differ from call to call does."""

import builtins
import sys

import _serverledge
import serverledge
from _serverledge_errors import OTHER_RUNTIME
from _serverledge_importing import library

CO_COROUTINE = 0x80
# Where the data of the time zones are in the library.
ZONES = "zoneinfo/"


def make():
    builtins.call, builtins.acall, builtins.CallError = serverledge.call, serverledge.acall, serverledge.CallError
    import _thread
    _thread.start_new_thread = _thread.start_new = _thread.start_joinable_thread = no_thread
    library.after.update(asyncio=change_asyncio, subprocess=change_subprocess, socket=change_socket)
    library.after.update({"http.client": change_client, "urllib.request": change_opener})
    library.after.update({"zoneinfo._common": change_zones, "zoneinfo._tzpath": change_zone_names})


def no_thread(*arguments, **keywords):
    raise RuntimeError(f"the runtime python-wasm has no threads: use asyncio, or {OTHER_RUNTIME}")


def change_asyncio(module):
    # It puts its event loop in.
    __import__("_serverledge_async")


def change_subprocess(module):
    class Popen(module.Popen):
        def __init__(self, *arguments, **keywords):
            raise OSError(58, f"the runtime python-wasm has no processes: {OTHER_RUNTIME}")

        def __del__(self):
            pass

    module.Popen = Popen


def change_socket(module):
    # It puts its own in.
    __import__("_serverledge_sockets")


def change_client(module):
    __import__("_serverledge_sockets").rehearse_client(module)


def change_opener(module):
    __import__("_serverledge_sockets").rehearse_opener(module)


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


def is_async(function):
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def renew():
    """At the beginning of an invocation: no two draw the same numbers."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
