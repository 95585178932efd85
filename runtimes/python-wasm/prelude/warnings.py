"""What whoever deploys is told about files that load: each with its place."""

import sys

import _serverledge
from _serverledge_importing import CODE

# So many are told; the first ones say what the matter is.
WARNINGS_MAX = 10
CLOCK = "the clock is read while the file is loaded, and what it says then, 1970-01-01T00:00:00Z, is what every call sees: read it in the handler"
RANDOM = "a random value is drawn while the file is loaded: all calls have the same one. Draw it in the handler"

main_file = ""
told = {}


def begin(file):
    global main_file
    main_file = file
    _serverledge.watch(note)


def end():
    """All of them, once."""
    _serverledge.watch(None)
    all_told = list(told)
    told.clear()
    if len(all_told) <= WARNINGS_MAX:
        return all_told
    return [*all_told[:WARNINGS_MAX], f"and {len(all_told) - WARNINGS_MAX} more like these"]


def place():
    """The innermost frame in the user's files, if it is the main file's. None if that only imports a module, or calls a package,
    which reads something by itself."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(CODE):
            return f"{main_file}:{frame.f_lineno}" if name == CODE + main_file else None
        if name.startswith("<frozen importlib"):
            return None
        frame = frame.f_back
    return None


def note(is_clock):
    at = place()
    if at is not None:
        told[f"{at}: {CLOCK if is_clock else RANDOM}"] = True


def warn_of_secret(name):
    at = place() or main_file
    told[f"{at}: the secret {name} is read while the file is loaded, when no secret is there. Read it in the handler"] = True
