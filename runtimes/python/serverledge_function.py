"""The function of a container: what a bind brings, where its handler is, and how it is called. Part of the agent."""

import os
import sys

CONTEXT_NAMES = frozenset(("context", "ctx", "_context", "_ctx"))
DEFAULT_MODULES = ("main", "handler", "function", "app", "index")


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


class NoHandler(Exception):
    """There is no such file or function, or it cannot be called."""


class Function:
    """What a bind brings. Reading it checks all of it, so that nothing has been written when it is refused."""

    def __init__(self, body, from_json):
        head_end = 4 + int.from_bytes(body[:4], "big")
        if len(body) < 4 or len(body) < head_end:
            raise ValueError("the body ends before its description does")
        head = from_json(str(body[4:head_end], "utf-8"))
        if not isinstance(head, dict):
            raise ValueError("the description is no object")
        self.handler = expect(head, "handler", str)
        self.variables = {**expect(head, "env", dict), **expect(head, "secrets", dict)}
        for name, value in self.variables.items():
            if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
                raise ValueError(f"the variable {name!r} cannot be set")
        self.log_bytes_max = expect(head, "log_bytes_max", int)
        self.output_bytes_max = expect(head, "output_bytes_max", int)
        self.concurrency = expect(head, "concurrency", int)
        # Python sizes nothing by it.
        expect(head, "memory_mb", int)
        # Nodes of before have no such members.
        self.log_times = head.get("log_times") is True
        self.outbound = head.get("outbound") is True
        self.files = []
        for file in expect(head, "files", list):
            path, size = expect(file, "path", str), expect(file, "bytes", int)
            if size < 0 or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
                raise ValueError(f"the file {path!r} has no valid path or size")
            self.files.append((path, head_end, head_end + size, bool(file.get("executable"))))
            head_end += size
        if head_end != len(body):
            raise ValueError(f"the files end at byte {head_end} of {len(body)}")
        self.contents = memoryview(body)

    def write(self, code_dir):
        made = {""}
        for path, start, end, executable in self.files:
            folder = path.rpartition("/")[0]
            if folder not in made:
                os.makedirs(f"{code_dir}/{folder}", exist_ok=True)
                made.add(folder)
            file = os.open(f"{code_dir}/{path}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
                           0o755 if executable else 0o644)
            try:
                write_all(file, self.contents[start:end])
            finally:
                os.close(file)

    def forget_contents(self):
        self.contents = self.variables = self.files = None


def expect(head, name, kind):
    value = head.get(name) if isinstance(head, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name!r} is missing or of the wrong type")
    return value


def roots(code_dir):
    """The folders in which a handler is looked for: the folder of the code, then its only folder."""
    yield code_dir
    folders = [entry.path for entry in os.scandir(code_dir) if entry.is_dir() and not entry.name.startswith((".", "__"))]
    if len(folders) == 1:
        yield folders[0]


def find_handler(handler, code_dir):
    """Where the handler is: its root, the module's dotted name, the module's file, the function's name."""
    if not handler:
        return find_default(code_dir)
    module, _, function = handler.rpartition(".") if "." in handler else (handler, "", "handler")
    parts = module.replace("/", ".").split(".")
    if not all(parts) or not function:
        raise NoHandler(f"{handler!r} is no module.function")
    for root in roots(code_dir):
        path = "/".join((root, *parts))
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if os.path.isfile(file):
                return root, ".".join(parts), file, function
    raise NoHandler(f"there is no file {'/'.join(parts)}.py")


def find_default(code_dir):
    for root in roots(code_dir):
        for module in DEFAULT_MODULES:
            if os.path.isfile(f"{root}/{module}.py"):
                return root, module, f"{root}/{module}.py", "handler"
        files = [name for name in os.listdir(root) if name.endswith(".py") and os.path.isfile(f"{root}/{name}")]
        if len(files) == 1:
            return root, files[0][:-len(".py")], f"{root}/{files[0]}", "handler"
    raise NoHandler(f"no handler is named, and there is neither one of {', '.join(DEFAULT_MODULES)} nor a single .py file")


def load(handler, code_dir, packages_dir):
    root, name, file, function = find_handler(handler, code_dir)
    sys.path.insert(0, root)
    add_packages(packages_dir)
    module = load_module(name, file)
    found = getattr(module, function, None)
    if found is None:
        raise NoHandler(f"{file[len(root) + 1:]} has no function {function!r}")
    if not callable(found):
        raise NoHandler(f"{function!r} in {file[len(root) + 1:]} cannot be called")
    return found


def add_packages(packages_dir):
    """Installed packages come last, as they always do in Python: none of them may stand in for a module of the library."""
    if not os.path.isdir(packages_dir):
        return
    if any(name.endswith(".pth") for name in os.listdir(packages_dir)):
        import site
        site.addsitedir(packages_dir)
    else:
        sys.path.append(packages_dir)


def load_module(name, file):
    if name not in sys.modules:
        __import__(name)
    module = sys.modules[name]
    if getattr(module, "__file__", None) == file:
        return module
    # The name is that of a module which is loaded already, such as `json`: that one has to stay what it is.
    from importlib.util import module_from_spec, spec_from_file_location
    spec = spec_from_file_location(f"function_{name}", file)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parameter_names(handler):
    """The names of what the handler takes by position, by keyword only, and whether it takes any number by position."""
    function, skipped = handler, 0
    if type(function) is type(parameter_names):
        pass
    elif hasattr(function, "__func__") and hasattr(function, "__self__"):
        function, skipped = function.__func__, 1
    if type(function) is type(parameter_names) and not hasattr(function, "__wrapped__"):
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


def context_of(headers):
    def number(name):
        text = headers.get(name, "")
        return int(text) if text.isdecimal() else 0

    context = {"invocation_id": headers.get("serverledge-invocation", ""),
               "function": headers.get("serverledge-function", ""),
               "deadline_ms": number("serverledge-deadline"),
               "memory_mb": number("serverledge-memory")}
    # Absent where nobody traces.
    context.update((name, headers[name]) for name in ("traceparent", "tracestate") if name in headers)
    return context
