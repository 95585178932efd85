"""pack.py LIBRARY PRELUDE ZONES OUT: compiles Python's library and the prelude, and writes what main.c and library.c are made of:
OUT/boot.h, modules that are there from the first moment; OUT/library-table.h and OUT/library.bin, all others and the time zones,
packed one by one."""

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
    | sqlite3 | xmlrpc | windows_events\.py | windows_utils\.py
    | (turtle | pydoc | antigravity | this | webbrowser | pdb | doctest | cProfile | profile | pstats | trace | ssl | bz2 | lzma | nturl2path
    | _osx_support | _aix_support | _android_support | _apple_support | _ios_support | _distutils_system_mod | pty | tty | imaplib | poplib
    | smtplib | ftplib | mailbox | rlcompleter | site | sitecustomize | zipapp | __hello__ | pyclbr | compileall | py_compile | modulefinder
    | tabnanny | code | cmd | bdb) \.py""",
    re.VERBOSE)
# Of the encodings those whose tables are not in C, and what Windows has.
ENCODINGS_LEFT_OUT = re.compile(r"encodings/(big5|cp932|cp949|cp950|euc_|gb|hz|iso2022|johab|shift_jis|mbcs|oem|palmos|hp_roman|bz2_codec|ptcp154|kz1048|mac_)")
# Imported before there is anything that could import.
BOOT = ("encodings", "encodings.aliases", "encodings.utf_8", "encodings.ascii", "encodings.latin_1")
# Files of the prelude that are called otherwise than the others: `_serverledge_` and the file's name.
NAMES = {"serverledge": "serverledge", "ssl": "ssl", "sysconfigdata": "_sysconfigdata__wasi_wasm32-wasi"}
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


def array(name, data):
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def main(library, prelude, zone_folder, out):
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
