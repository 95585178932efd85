"""The user's files as if they lay in a folder: what `open`, `os.stat` and `os.listdir` find below /app/code, which is also the
working directory. Nothing is written."""

import _io
import builtins
import errno
import io
import os
import posix
import stat

import _serverledge
from _serverledge_importing import CODE

FOLDER = CODE.rstrip("/")
READ_ONLY = "the runtime python-wasm has no files to write"

files = None
real_open, real_stat, real_lstat, real_access = io.open, os.stat, os.lstat, os.access
real_listdir, real_scandir = os.listdir, os.scandir


def begin(given):
    global files
    files = given
    put(open_file, "open", _io, io, builtins)
    for function, name in (
            (stat_file, "stat"), (stat_link, "lstat"), (list_folder, "listdir"), (scan_folder, "scandir"), (working_folder, "getcwd"),
            (working_folder_bytes, "getcwdb"), (access, "access")):
        put(function, name, posix, os)


def put(function, name, *modules):
    """Puts a function in the place of one in C: as an attribute of a class it is no method either."""
    made = _serverledge.builtin(function, modules[0].__name__, name)
    for module in modules:
        setattr(module, name, made)


def working_folder():
    return FOLDER


def working_folder_bytes():
    return FOLDER.encode()


def access(path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
    if described(path) is None:
        return real_access(path, mode, dir_fd=dir_fd, effective_ids=effective_ids, follow_symlinks=follow_symlinks)
    return not mode & os.W_OK


def has_nul(path):
    """Whether the path is none at all: the functions in C refuse it."""
    return not isinstance(path, int) and "\0" in os.fsdecode(path)


def name_of(path):
    """The path within the user's files; None if it is none of them."""
    if isinstance(path, int) or has_nul(path):
        return None
    path = os.path.normpath(os.path.join(FOLDER, os.fsdecode(path)))
    if path == FOLDER:
        return ""
    return path.removeprefix(CODE) if path.startswith(CODE) else None


def is_folder(name):
    return name == "" or name in files.folders


def open_file(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if not isinstance(file, int) and set(mode) & set("wax+") and not has_nul(file):
        raise OSError(errno.EROFS, READ_ONLY, os.fspath(file))
    name = name_of(file)
    if name in files.contents:
        stream = io.BytesIO(files.get_data(CODE + name))
        stream.name, stream.mode = os.fspath(file), "rb"
        if "b" in mode:
            return stream
        text = io.TextIOWrapper(stream, encoding or "utf-8", errors, newline)
        text.mode = mode
        return text
    if name is not None and is_folder(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(file))
    return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)


def stat_file(path, *, dir_fd=None, follow_symlinks=True):
    found = described(path)
    return real_stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks) if found is None else found


def stat_link(path, *, dir_fd=None):
    found = described(path)
    return real_lstat(path, dir_fd=dir_fd) if found is None else found


def described(path):
    """The status of one of the user's files or folders; None if the path is that of none."""
    name = name_of(path)
    if name in files.contents:
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, len(files.get_data(CODE + name)), 0, 0, 0))
    if name is not None and is_folder(name):
        return os.stat_result((stat.S_IFDIR | 0o555, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    return None


def names_in(folder):
    start = f"{folder}/" if folder else ""
    return sorted({path[len(start):].partition("/")[0] for path in files.contents if path.startswith(start)})


def list_folder(path=None):
    path = "." if path is None else path
    name = name_of(path)
    return names_in(name) if name is not None and is_folder(name) else real_listdir(path)


class Item:
    """What os.scandir gives of each file."""

    def __init__(self, folder, name):
        self.name, self.path = name, os.path.join(folder, name)

    def is_dir(self, *, follow_symlinks=True):
        return stat.S_ISDIR(self.stat().st_mode)

    def is_file(self, *, follow_symlinks=True):
        return stat.S_ISREG(self.stat().st_mode)

    def is_symlink(self):
        return False

    is_junction = is_symlink

    def stat(self, *, follow_symlinks=True):
        return stat_file(self.path)

    def __fspath__(self):
        return self.path


class Items:
    """An iterator that can be closed."""

    def __init__(self, items):
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.items = iter(())


def scan_folder(path=None):
    path = "." if path is None else path
    name = name_of(path)
    if name is None or not is_folder(name):
        return real_scandir(path)
    return Items([Item(os.fspath(path), each) for each in names_in(name)])
