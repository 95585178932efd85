"""pack.py LIBRARY PRELUDE ZONES INITTAB OUT: compiles Python's library and the prelude, and writes what main.c and library.c are made of:
OUT/boot.h, modules that are there from the first moment; OUT/library-table.h and OUT/library.bin, all others and the time zones,
packed one by one."""

import importlib
import marshal
import os
import re
import struct
import sys
import zlib

# What a function cannot use: programs, windows, processes, tests, databases that are not there, and what lies in containers only.
LEFT_OUT = re.compile(
    r"""test | tests | idle_test | idlelib | tkinter | turtledemo | lib2to3 | ensurepip | venv | pydoc_data | _pyrepl | curses
    | dbm | multiprocessing | ctypes | wsgiref | __phello__ | msilib | pip | site-packages | dist-packages | lib-dynload | config-.* | __pycache__
    | xmlrpc | windows_events\.py | windows_utils\.py
    | (turtle | pydoc | antigravity | this | webbrowser | cProfile | ssl | nturl2path | _osx_support | _aix_support | _android_support
    | _apple_support | _ios_support | _distutils_system_mod | pty | tty | mailbox | site | sitecustomize | zipapp | __hello__ | pyclbr
    | compileall | py_compile | modulefinder | tabnanny) \.py""",
    re.VERBOSE)
# Encodings whose tables would be in C, and what Windows has.
ENCODINGS_LEFT_OUT = re.compile(r"encodings/(big5|cp932|cp949|cp950|euc_|gb|hz|iso2022|johab|shift_jis|mbcs|oem)")
# Modules in C that are not among CPython's own objects.
ADDED_MODULES = ("_bz2", "_lzma", "zlib")
# Imported before there is anything that could import.
BOOT = ("encodings", "encodings.aliases", "encodings.utf_8", "encodings.ascii", "encodings.latin_1")
# Files of the prelude that are called otherwise than the others: `_serverledge_` and the file's name.
NAMES = {"serverledge": "serverledge", "ssl": "ssl", "ctypes": "ctypes", "sysconfigdata": "_sysconfigdata__wasi_wasm32-wasi"}
LIBRARY_ROOT = "/usr/lib/python3.13"


def compiled(path, name):
    with open(path, encoding="utf-8") as file:
        return marshal.dumps(compile(file.read(), name, "exec", dont_inherit=True, optimize=2))


def library_files(library):
    """Pairs of a module's name and its file, in the order of names."""
    found = {}
    for root, folders, files in os.walk(library):
        folders[:] = [each for each in folders if not LEFT_OUT.fullmatch(each)]
        for file in files:
            path = os.path.relpath(os.path.join(root, file), library)
            if not file.endswith(".py") or LEFT_OUT.fullmatch(file) or ENCODINGS_LEFT_OUT.match(path):
                continue
            found[path[:-3].replace("/", ".").removesuffix(".__init__")] = path
    return sorted(found.items())


def zones(folder):
    """The files of the time zones by their names. Of the two forms of the data in them (RFC 9636) only the second is kept."""
    found = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if each not in ("posix", "right")]
        for file in files:
            path = os.path.join(root, file)
            with open(path, "rb") as opened:
                data = opened.read()
            if data[:4] == b"TZif" and data[4:5] >= b"2":
                universal, standard, leaps, times, types, characters = struct.unpack(">6L", data[20:44])
                end = 44 + 5 * times + 6 * types + characters + 8 * leaps + standard + universal
                found[os.path.relpath(path, folder)] = data[:20] + bytes(24) + data[end:]
    return found


# === signatures ===

# Functions in C, methods of types in C, and the operators among these.
FUNCTION, METHOD, CLASS_METHOD, OPERATOR = type(len), type(str.join), type(vars(dict)["fromkeys"]), type(int.__add__)


def modules_in_c(inittab):
    """The names in the file in which CPython's build lists its modules in C, and those that build.sh adds."""
    with open(inittab, encoding="utf-8") as file:
        return sorted({*re.findall(r'^ *\{"(\w+)", ', file.read(), re.MULTILINE), *ADDED_MODULES})


def types_below(known, kind=object):
    for each in type.__subclasses__(kind):
        if each not in known:
            known.add(each)
            types_below(known, each)


def signatures(names):
    """Maps from names to signatures, by the names of modules. They are those of the Python that runs this, which has the same version:
    the runtime's is built without docstrings, where they stand. Operators, which are the same in all types, have a map of their own."""
    found, operators, types = {}, {}, {object, type}
    for module in names:
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, FUNCTION) and value.__text_signature__:
                found.setdefault(value.__module__ or module, {})[name] = value.__text_signature__
    types_below(types)
    for kind in types:
        own = {}
        if kind.__text_signature__:
            own[kind.__qualname__] = kind.__text_signature__
        for name, value in vars(kind).items():
            value = value.__func__ if isinstance(value, staticmethod) else value
            if not isinstance(value, (FUNCTION, METHOD, CLASS_METHOD, OPERATOR)) or not value.__text_signature__:
                continue
            if isinstance(value, OPERATOR) or name == "__new__":
                operators[name] = value.__text_signature__
            else:
                own[f"{kind.__qualname__}.{name}"] = value.__text_signature__
        if own:
            found.setdefault(kind.__module__, {}).update(own)
    found["operators"] = operators
    return {f"signatures/{module}": dict(sorted(found[module].items())) for module in sorted(found)}


# === writing ===


def array(name, data):
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def main(library, prelude, zone_folder, inittab, out):
    modules = {}
    for name, path in library_files(library):
        modules[name] = (path.endswith("/__init__.py"), compiled(f"{library}/{path}", f"{LIBRARY_ROOT}/{path}"))
    boot = {name: modules.pop(name) for name in BOOT}
    for file in sorted(os.listdir(prelude)):
        name = file.removesuffix(".py")
        name = NAMES.get(name, f"_serverledge_{name}")
        code = (False, compiled(f"{prelude}/{file}", f"<{name}>"))
        (boot if name == "_serverledge_importing" else modules)[name] = code
    with open(f"{out}/boot.h", "w", encoding="utf-8") as file:
        file.write("#include <Python.h>\n")
        table = []
        for number, (name, (is_package, data)) in enumerate(boot.items()):
            file.write(array(f"boot_{number}", data))
            table.append(f'{{"{name}", boot_{number}, {len(data)}, {int(is_package)}}},\n')
        file.write(f"static const struct _frozen boot_modules[] = {{{''.join(table)}{{0}}}};\n")
    modules.update((f"zoneinfo/{name}", (False, data)) for name, data in zones(zone_folder).items())
    # Without references between parts, so that it depends on nothing else.
    modules.update((name, (False, marshal.dumps(each, 2))) for name, each in signatures(modules_in_c(inittab)).items())
    packed, known = bytearray(), {}
    with open(f"{out}/library-table.h", "w", encoding="utf-8") as file:
        file.write("const struct library_file library_files[] = {\n")
        for name, (is_package, data) in sorted(modules.items()):
            each = zlib.compress(data, 9)
            # Many time zones have several names.
            at = known.setdefault(data, len(packed))
            file.write(f'{{"{name}", {at}, {len(each)}, {len(data)}, {str(is_package).lower()}}},\n')
            if at == len(packed):
                packed += each
        file.write("};\n")
    with open(f"{out}/library.bin", "wb") as file:
        file.write(packed)
    print(f"{len(modules)} modules, {sum(len(data) for _, data in modules.values())} bytes, packed {len(packed)}")


main(*sys.argv[1:])
