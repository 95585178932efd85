"""Where the handler is, and how it is called: as in the container runtime `python`."""

import sys
from types import FunctionType

from _serverledge_importing import CODE

CONTEXT_NAMES = frozenset(("context", "ctx", "_context", "_ctx"))
DEFAULT_MODULES = ("main", "handler", "function", "app", "index")


class NoHandler(Exception):
    """There is no such file or function, or it cannot be called."""


def find(files, file, handler):
    """The handler's module, the path of its file, and the function's name."""
    if not handler or handler == file:
        return default(files, file)
    module, _, function = handler.rpartition(".") if "." in handler else (handler, "", "handler")
    name = module.replace("/", ".")
    if not all(name.split(".")) or not function:
        raise NoHandler(f"{handler!r} is no module.function")
    path, _ = files.file_of(name)
    if path is None:
        raise NoHandler(f"there is no file {name.replace('.', '/')}.py")
    return name, path, function


def default(files, file):
    """Without a name it is the function `handler` of the file that was sent; of several, of one with a usual name."""
    beside = file.rpartition("/")[0]
    names = [path for path in files.contents if path.endswith(".py") and path.rpartition("/")[0] == beside]
    if len(names) > 1:
        usual = [f"{beside}/{each}.py".removeprefix("/") for each in DEFAULT_MODULES]
        file = next((each for each in usual if each in files.contents), file)
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", "."), file, "handler"


def load(files, file, handler):
    name, path, function = find(files, file, handler)
    module = load_module(files, name, path)
    found = getattr(module, function, None)
    if found is None:
        raise NoHandler(f"{path} has no function {function!r}; it has {told_names(module)}")
    if not callable(found):
        raise NoHandler(f"{function!r} in {path} cannot be called")
    return found


def told_names(module):
    """For the one who named another: the functions that there are."""
    names = [name for name, value in vars(module).items() if isinstance(value, FunctionType) and value.__module__ == module.__name__]
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "none"


def load_module(files, name, path):
    known, _ = files.file_of(name)
    if known == path and all(part.isidentifier() for part in name.split(".")):
        if name not in sys.modules:
            __import__(name)
        module = sys.modules[name]
        if getattr(module, "__file__", None) == CODE + path:
            return module
    # The name is that of a module which is loaded already, such as `json`, or is none: `my-function`.
    from importlib.util import module_from_spec, spec_from_loader
    spec = spec_from_loader(f"function_{name}", SingleFile(files, path))
    spec.origin, spec.has_location = CODE + path, True
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SingleFile:
    """Loads a file whose name is not the module's."""

    def __init__(self, files, path):
        self.files, self.path = files, path

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.files.compiled(self.path), module.__dict__)

    def get_source(self, name):
        return self.files.text(self.path)


# === how it is called ===


def parameter_names(handler):
    """The names of what the handler takes by position, by keyword only, and whether it takes any number by position."""
    function, skipped = handler, 0
    if type(function) is not FunctionType and hasattr(function, "__func__") and hasattr(function, "__self__"):
        function, skipped = function.__func__, 1
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code = function.__code__
        count = code.co_argcount
        names = code.co_varnames
        return names[skipped:count], names[count:count + code.co_kwonlyargcount], bool(code.co_flags & 0x04)
    import inspect
    try:
        found = inspect.signature(handler).parameters.values()
    except (ValueError, TypeError):
        return ("params",), (), False
    by_position = [each.name for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    by_keyword = [each.name for each in found if each.kind is each.KEYWORD_ONLY]
    return by_position, by_keyword, any(each.kind is each.VAR_POSITIONAL for each in found)


def adapt(handler):
    """The handler as a function of (params, context), and whether it looks at the context at all."""
    names, keywords, any_number = parameter_names(handler)
    place = next((index for index, name in enumerate(names) if name in CONTEXT_NAMES), None)
    keyword = next((name for name in keywords if name in CONTEXT_NAMES), None)
    if place is not None and place > 1:
        keyword = names[place]
    if keyword is not None:
        if names:
            return lambda params, context: handler(params, **{keyword: context}), True
        return lambda params, context: handler(**{keyword: context}), True
    if place == 0:
        if len(names) == 1:
            return lambda params, context: handler(context), True
        return lambda params, context: handler(context, params), True
    if len(names) >= 2 or (any_number and not names):
        return handler, True
    if names:
        return lambda params, context: handler(params), False
    return lambda params, context: handler(), False

