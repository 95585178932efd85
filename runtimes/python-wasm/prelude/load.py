"""Loads the user's files at deploy, finds the handler, and runs it in each invocation."""

import gc
import json
import sys
from gc import collect, freeze

import _serverledge
import _serverledge_changes as changes
import _serverledge_disk as disk
import _serverledge_environment as environment
import _serverledge_errors as errors
import _serverledge_handler
import _serverledge_rehearsal as rehearsal
import _serverledge_warnings as warnings
from _serverledge_files import Files
from _serverledge_importing import CODE
from _serverledge_streams import STREAMS, flush, open_streams, output
from serverledge import from_json, to_ascii_json, to_json

# After so many the interpreter has learnt it.
WARM_UP_ROUNDS = 20

# What is set at deploy: the handler as a function of (params, context), and whether it looks at the context.
call = None
wants_context = False


# === deploy ===


def load(text):
    """None, or the JSON that whoever deploys is to be told; that of an error in a tuple."""
    open_streams()
    request = json.loads(text)
    file = request.get("file") or "main.py"
    contents = {path: content_of(content) for path, content in (request.get("files") or {}).items()}
    contents[file] = request.get("source") or ""
    environment.begin(request.get("env") or {}, frozenset(request.get("secrets") or ()), warnings.warn_of_secret)
    changes.make()
    files = Files(contents)
    sys.meta_path.insert(len(sys.meta_path) - 1, files)
    sys.path.append(disk.FOLDER)
    sys.path_hooks.append(files.finder_of)
    disk.begin(files)
    warnings.begin(file)
    try:
        find(files, file, request.get("handler") or "")
    except BaseException as error:
        flush()
        return (to_ascii_json(errors.describe_load(error, file)).encode(),)
    rehearsal.know_kinds()
    # Destructors and streams may be the user's: the last of their code runs here, and sees what all of it has seen.
    collect()
    flush()
    told = warnings.end()
    del text, request, contents, files
    warm_up()
    # Without the interpreter's lists of freed objects, which lie in many places.
    collect()
    freeze()
    return to_ascii_json({"warnings": told}).encode() if told else None


def warm_up():
    """Has the interpreter learn what comes with every invocation: it notes in its code what it has met, and an
    invocation that meets the same has nothing to write. None of the user's code runs meanwhile."""
    global call, wants_context
    adapted, collects = (call, wants_context), gc.isenabled()
    streams = {name: vars(sys).pop(name) for name in STREAMS if name in vars(sys)}
    gc.disable()
    try:
        sys.stdout, sys.stderr = output(1, "<stdout>"), output(2, "<stderr>")
        wants_context = True
        more = {"list": [1, 2.5, None, True, "text"]}
        for call in (lambda params, context: params), (lambda params, context: {**params, **more}):
            for _ in range(WARM_UP_ROUNDS):
                handle('{"name": "value", "numbers": [1, 2.5], "flag": true}')
                handle("{}")
    finally:
        call, wants_context = adapted
        del sys.stdout, sys.stderr
        vars(sys).update(streams)
        if collects:
            gc.enable()


def content_of(content):
    """A text, or bytes: `{"base64": "…"}`."""
    if isinstance(content, str):
        return content
    import binascii
    return binascii.a2b_base64(content["base64"])


def find(files, file, handler):
    global call, wants_context
    changes.make_room(files, _serverledge_handler.find(files, file, handler)[0])
    found = _serverledge_handler.load(files, file, handler)
    call, wants_context = changes.past(_serverledge_handler.adapt, found)
    for name in later_imports(files):
        try:
            __import__(name)
        except ImportError:
            # The function has its own way to deal with that.
            pass
    if changes.is_async(found):
        # Its loop comes with the snapshot.
        changes.own("_serverledge_async").prepare()


# What modules of the library import when a function of theirs is called, by the word that leads there.
IMPORTED_LATE = {"most_common": "heapq", "strptime": "_strptime", "asdict": "copy", "deepcopy": "copy"}


def later_imports(files):
    """Modules of the library that the user's files import in their functions: an invocation should find them loaded."""
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.removeprefix(CODE) not in files.contents:
            continue
        text = files.text(file.removeprefix(CODE))
        found.update(name for word, name in IMPORTED_LATE.items() if word in text)
        for line in text.splitlines():
            words = line.split(None, 2)[:2]
            if line[:1] in (" ", "\t") and len(words) == 2 and words[0] in ("import", "from"):
                found.add(words[1].rstrip(",;"))
    return sorted(name for name in found if changes.is_in_library(name) and files.file_of(name)[0] is None)


# === invocations ===


def handle(text):
    """The JSON of the result; that of an error in a tuple."""
    try:
        changes.renew()
        try:
            params = from_json(text)
        except (ValueError, RecursionError) as error:
            return failed({"error": "TypeError", "message": f"the parameters are not JSON: {error}", "stack": ""})
        result = call(params, _serverledge.context() if wants_context else None)
        if hasattr(type(result), "__await__"):
            result = changes.own("_serverledge_async").wait_for(result)
        return written(result)
    except SystemExit as error:
        return failed(described(errors.describe_exit, error))
    except BaseException as error:
        return failed(described(errors.describe, error))
    finally:
        changes.finish()
        flush()


def described(describe, error):
    """An error in words. What it says of itself may be the user's code."""
    try:
        return changes.past(describe, error)
    except BaseException:
        return {"error": errors.name_of(error), "message": "(the error cannot say what it is)", "stack": ""}


def written(result):
    try:
        text = to_json(result)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the result cannot be written as JSON: {error}"
        return failed({"error": type(error).__name__, "message": message, "stack": ""})
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: JSON can name it, UTF-8 cannot hold it.
        return to_ascii_json(result).encode()


def failed(error):
    return (to_ascii_json(error).encode(),)
