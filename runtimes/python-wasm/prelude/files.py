"""The user's files: a map from paths to contents, from which modules are imported and in which packages find their data."""

import sys
from _frozen_importlib import ModuleSpec

from _serverledge_importing import CODE, Loader


class Files(Loader):
    """`contents` has texts and bytes by their paths. Modules are found in the roots, which end with a slash or are empty."""

    def __init__(self, contents):
        self.contents = contents
        self.folders = {path[:at] for path in contents for at, each in enumerate(path) if each == "/"}
        self.roots = [""]
        tops = {path.partition("/")[0] for path in contents if "/" in path}
        tops = {top for top in tops if not top.startswith((".", "__"))}
        # As in a container: the folder of the code, then its only folder.
        if len(tops) == 1:
            self.roots.append(f"{tops.pop()}/")

    def file_of(self, name):
        """The path of a module's file, and whether it is a package's."""
        for root in self.roots:
            path = root + name.replace(".", "/")
            if f"{path}/__init__.py" in self.contents:
                return f"{path}/__init__.py", True
            if f"{path}.py" in self.contents:
                return f"{path}.py", False
        return None, False

    def find_spec(self, name, path=None, target=None):
        file, is_package = self.file_of(name)
        if file is not None:
            spec = ModuleSpec(name, self, origin=CODE + file, is_package=is_package)
            spec.has_location = True
            if is_package:
                spec.submodule_search_locations.append(CODE + file.rpartition("/")[0])
            return spec
        folders = [root + name.replace(".", "/") for root in self.roots]
        folders = [CODE + folder for folder in folders if folder in self.folders]
        if not folders or ("." not in name and sys.modules["_serverledge"].is_package(name) is not None):
            return None
        # A folder without __init__.py is a package, too.
        spec = ModuleSpec(name, Folder(self, folders[0].removeprefix(CODE)), is_package=True)
        spec.submodule_search_locations.extend(folders)
        return spec

    def get_code(self, name):
        file, _ = self.file_of(name)
        return self.compiled(file)

    def compiled(self, file):
        return compile(self.contents[file], CODE + file, "exec", dont_inherit=True, optimize=0)

    def text(self, file):
        content = self.contents[file]
        return content if isinstance(content, str) else content.decode("utf-8", "replace")

    def get_source(self, name):
        file, _ = self.file_of(name)
        if file is None:
            raise ImportError(f"there is no module {name!r}", name=name)
        return self.text(file)

    def get_filename(self, name):
        return CODE + self.file_of(name)[0]

    def finder_of(self, path):
        """A hook of sys.path_hooks: what finds the modules of a folder."""
        import _serverledge_folders
        return _serverledge_folders.finder_of(self, path)

    # --- data ---

    def get_data(self, path):
        content = self.contents.get(path.removeprefix(CODE))
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return content.encode() if isinstance(content, str) else content

    def get_resource_reader(self, name):
        import _serverledge_resources
        return _serverledge_resources.Reader(self, self.file_of(name)[0].rpartition("/")[0])

    def find_distributions(self, context):
        import _serverledge_resources
        return _serverledge_resources.distributions(self, context.name)


class Folder:
    """Loads a folder without __init__.py: an empty package."""

    def __init__(self, files, path):
        self.files, self.path = files, path

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        pass

    def is_package(self, name):
        return True

    def get_resource_reader(self, name):
        import _serverledge_resources
        return _serverledge_resources.Reader(self.files, self.path)
