"""Variables that an interpreter reads when it starts, before anybody knows the function: Python is started again, in the same
process, with them. Part of the agent.

What is handed on are descriptors: of the socket that listens, of the connection on which the function came, and of a copy of
what came on it.
"""

import os
import sys

# As the image starts it, less `-E`, which would keep Python from reading its variables.
FLAGS = ("-s", "-S", "-B")
# Of the C library: where it looks for libraries, how it speaks and how it allocates.
PREFIXES = ("PYTHON", "LD_", "LC_", "MALLOC_")
NAMES = frozenset(("LANG", "LANGUAGE", "LOCPATH", "GCONV_PATH", "GLIBC_TUNABLES", "OPENSSL_CONF"))
# In force already, or of no effect on anything but the interpreter's own output, which the agent takes over.
SETTLED = frozenset(("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING"))
REFUSED = {
    "PYTHONINSPECT": "only an interactive Python has a use for it",
    "PYTHONSTARTUP": "only an interactive Python reads it",
    "PYTHONUSERBASE": "functions have no packages of a user; requirements.txt says which to install",
}
WORDS_BYTES_MAX = 2000
MARK = "--bound"


class RefusedVariable(Exception):
    """A variable that cannot have the effect that it is set for."""


def names_for_start(variables):
    """The variables that only a new start can bring into force. Raises RefusedVariable for one that nothing can."""
    for name, why in REFUSED.items():
        if name in variables:
            raise RefusedVariable(f"{name} cannot be set: {why}")
    encoding = variables.get("PYTHONIOENCODING", "").partition(":")[0].lower().replace("_", "-")
    if encoding not in ("", "utf-8", "utf8"):
        raise RefusedVariable(f"PYTHONIOENCODING cannot be {encoding!r}: what a function prints is kept as UTF-8")
    return [name for name in variables if (name.startswith(PREFIXES) or name in NAMES) and name not in SETTLED]


def start_again(variables, command, body, descriptors):
    """Does not return. Raises RefusedVariable where an interpreter does not start with these variables. The function's files are
    in the working directory already; `descriptors` are those of the socket that listens and of the connection."""
    environment = {**os.environ, **variables}
    try_out(variables, environment)
    copy = os.memfd_create("bind", 0)
    write_all(copy, body)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    handed_on = ",".join(map(str, (*descriptors, copy)))
    os.execve(sys.executable, [sys.executable, *FLAGS, *command, MARK, handed_on], environment)


def try_out(variables, environment):
    """An interpreter of its own, which may fail, and say why, while there is somebody to tell."""
    words = os.memfd_create("words")
    child = os.posix_spawn(sys.executable, [sys.executable, *FLAGS, "-c", ""], environment,
                           file_actions=[(os.POSIX_SPAWN_DUP2, words, 2)])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = os.pread(words, WORDS_BYTES_MAX, 0).decode("utf-8", "replace").strip()
    os.close(words)
    # The dynamic loader only warns of what it cannot find.
    if status != 0 or text.startswith("ERROR: ld.so:"):
        raise RefusedVariable(f"Python does not start with {', '.join(variables)}: {text or f'it ends with {status}'}")


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


def take_over():
    """Of a process that was started again: the two descriptors and the body; None in any other."""
    if MARK not in sys.argv:
        return None
    at = sys.argv.index(MARK)
    listener, connection, copy = map(int, sys.argv[at + 1].split(","))
    del sys.argv[at:]
    body = os.pread(copy, os.fstat(copy).st_size, 0)
    os.close(copy)
    for descriptor in (listener, connection):
        os.set_inheritable(descriptor, False)
    return listener, connection, body

