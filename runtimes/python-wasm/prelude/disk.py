"""The user's files as if they lay in a folder: what `open`, `os.stat` and `os.listdir` find below /app/code, which is also the
working directory. Nothing is written."""

import builtins
import errno
import io
import os
import stat

from _serverledge_importing import CODE

FOLDER = CODE.rstrip("/")
READ_ONLY = "the runtime python-wasm has no files to write"

files = None
real_open, real_stat, real_listdir, real_scandir = io.open, os.stat, os.listdir, os.scandir


def begin(given):
    global files
    files = given
    builtins.open = io.open = open_file
    os.stat = os.lstat = stat_file
    os.listdir, os.scandir = list_folder, scan_folder
    os.getcwd = lambda: FOLDER
    os.access = lambda path, mode, **keywords: not mode & os.W_OK and exists(path)


def name_of(path):
    """The path within the user's files; None if it is none of them."""
    if isinstance(path, int):
        return None
    path = os.path.normpath(os.path.join(FOLDER, os.fsdecode(path)))
    if path == FOLDER:
        return ""
    return path.removeprefix(CODE) if path.startswith(CODE) else None


def is_folder(name):
    return name == "" or name in files.folders


def exists(path):
    try:
        stat_file(path)
    except OSError:
        return False
    return True


def open_file(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if not isinstance(file, int) and set(mode) & set("wax+"):
        raise OSError(errno.EROFS, READ_ONLY, os.fspath(file))
    name = name_of(file)
    if name in files.contents:
        stream = io.BytesIO(files.get_data(CODE + name))
        stream.name = os.fspath(file)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding or "utf-8", errors, newline)
    if name is not None and is_folder(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(file))
    return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)


def stat_file(path, *arguments, **keywords):
    name = name_of(path)
    if name in files.contents:
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, len(files.get_data(CODE + name)), 0, 0, 0))
    if name is not None and is_folder(name):
        return os.stat_result((stat.S_IFDIR | 0o555, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    return real_stat(path, *arguments, **keywords)


def names_in(folder):
    start = f"{folder}/" if folder else ""
    return sorted({path[len(start):].partition("/")[0] for path in files.contents if path.startswith(start)})


def list_folder(path="."):
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


def scan_folder(path="."):
    name = name_of(path)
    if name is None or not is_folder(name):
        return real_scandir(path)
    return Items([Item(os.fspath(path), each) for each in names_in(name)])
