"""Folders with modules, as pkgutil and PathFinder look into them: the user's, and those of Python's library."""

import _serverledge
from _serverledge_importing import CODE, LIBRARY, library


class Finder:
    """Finds the modules of one folder. `children` are the names in it, and whether each is a package."""

    def __init__(self, path, finder, children):
        self.path, self.finder, self.children = path, finder, children

    def find_spec(self, name, target=None):
        return self.finder.find_spec(name) if name.rpartition(".")[2] in self.children else None

    def iter_modules(self, prefix=""):
        return [(prefix + name, is_package) for name, is_package in sorted(self.children.items())]

    def invalidate_caches(self):
        pass

    def __repr__(self):
        return f"Finder({self.path!r})"


def finder_of(files, path):
    """That of a folder of the user's files or of the library; an ImportError if it is none."""
    whole = path.rstrip("/") + "/"
    if whole.startswith(CODE):
        folder = whole.removeprefix(CODE)
        if folder == "" or folder[:-1] in files.folders:
            return Finder(path, files, modules_of_files(files, folder))
    elif whole.startswith(LIBRARY):
        above = whole.removeprefix(LIBRARY).replace("/", ".")
        if above == "" or _serverledge.is_package(above[:-1]):
            return Finder(path, library, modules_of_library(above))
    raise ImportError(f"there are no modules in {path!r}", path=path)


def modules_of_files(files, folder):
    children = {}
    for path in files.contents:
        if not path.startswith(folder):
            continue
        name, _, below = path[len(folder):].partition("/")
        if below == "__init__.py":
            children[name] = True
        elif not below and name.endswith(".py") and name != "__init__.py":
            children.setdefault(name[:-3], False)
    return {name: is_package for name, is_package in children.items() if "." not in name}


def modules_of_library(above):
    names = [name for name in _serverledge.names() if name.startswith(above) and "/" not in name]
    children = {name[len(above):]: _serverledge.is_package(name) for name in names if "." not in name[len(above):]}
    return {name: is_package for name, is_package in children.items() if not name.startswith("_serverledge")}
