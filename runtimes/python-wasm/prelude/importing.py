"""Finds modules: those of Python's library in the packed one, the user's among the files that came with the function."""

import sys

import _serverledge
from _frozen_importlib import ModuleSpec

LIBRARY = "/usr/lib/python3.13/"
CODE = "/app/code/"


class Loader:
    """What importlib wants of a loader, for modules whose code is known by name."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__spec__.name), module.__dict__)

    def is_package(self, name):
        return self.find_spec(name).submodule_search_locations is not None

    def spec(self, name, is_package, root):
        path = root + name.replace(".", "/")
        spec = ModuleSpec(name, self, origin=path + ("/__init__.py" if is_package else ".py"), is_package=is_package)
        if is_package:
            spec.submodule_search_locations.append(path)
        # Then the module has a __file__.
        spec.has_location = True
        return spec


class Library(Loader):
    """Python's library. Some of its modules are changed when they have been imported: `after` has what is called then, in
    this order."""

    def __init__(self):
        self.after = {}

    def call_after(self, name, change):
        self.after.setdefault(name, []).append(change)

    def find_spec(self, name, path=None, target=None):
        is_package = _serverledge.is_package(name)
        return None if is_package is None else self.spec(name, is_package, LIBRARY)

    def exec_module(self, module):
        name = module.__spec__.name
        exec(_serverledge.code(name), module.__dict__)
        for change in self.after.get(name, ()):
            change(module)

    def get_code(self, name):
        return _serverledge.code(name)

    def get_source(self, name):
        return None


library = Library()

# There is nothing to be found in folders.
sys.path_hooks.clear()
sys.path[:] = []
sys.meta_path[2:] = [library]
