"""Data of packages: what importlib.resources and importlib.metadata find among the user's files."""

import contextlib
import importlib.metadata
import importlib.resources
import io
import pathlib
from importlib.resources.abc import Traversable, TraversableResources

from _serverledge_importing import CODE


class Entry(Traversable):
    """A file or a folder."""

    def __init__(self, files, path):
        self.files, self.path = files, path

    @property
    def name(self):
        return self.path.rpartition("/")[2]

    def is_file(self):
        return self.path in self.files.contents

    def is_dir(self):
        return self.path == "" or self.path in self.files.folders

    def iterdir(self):
        start = f"{self.path}/" if self.path else ""
        names = {path[len(start):].partition("/")[0] for path in self.files.contents if path.startswith(start)}
        return (Entry(self.files, start + name) for name in sorted(names))

    def joinpath(self, *parts):
        path = self.path.split("/") if self.path else []
        for part in "/".join(map(str, parts)).split("/"):
            if part == "..":
                path = path[:-1]
            elif part not in ("", "."):
                path = [*path, part]
        return Entry(self.files, "/".join(path))

    __truediv__ = joinpath

    def open(self, mode="r", *arguments, **keywords):
        stream = io.BytesIO(self.files.get_data(CODE + self.path))
        return stream if "b" in mode else io.TextIOWrapper(stream, *arguments, **keywords)

    def read_text(self, encoding=None, errors=None):
        with self.open(encoding=encoding, errors=errors) as stream:
            return stream.read()

    def __str__(self):
        return CODE + self.path

    def __repr__(self):
        return f"<{self}>"


@importlib.resources.as_file.register(Entry)
@contextlib.contextmanager
def as_file(entry):
    """Its path, at which `open` finds it."""
    yield pathlib.Path(str(entry))


class Reader(TraversableResources):
    """The resources of one package."""

    def __init__(self, given, folder):
        self.given, self.folder = given, folder

    def files(self):
        return Entry(self.given, self.folder)


class Distribution(importlib.metadata.Distribution):
    """An installed package, as its folder *.dist-info describes it."""

    def __init__(self, files, folder):
        self.given, self.folder = files, folder

    def read_text(self, filename):
        try:
            return self.given.get_data(f"{CODE}{self.folder}/{filename}").decode()
        except FileNotFoundError:
            return None

    def locate_file(self, path):
        return Entry(self.given, self.folder.rpartition("/")[0]).joinpath(str(path))


def normalised(name):
    return name.lower().replace("-", "_").replace(".", "_")


def distributions(files, name):
    """All of them, or those of this name."""
    for folder in sorted(files.folders):
        stem = folder.rpartition("/")[2]
        if stem.endswith(".dist-info") and (not name or normalised(stem.partition("-")[0]) == normalised(name)):
            yield Distribution(files, folder)
