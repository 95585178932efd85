"""pack.py LIBRARY PRELUDE OUT: compiles Python's library and the prelude, and writes what main.c and library.c are made of:
OUT/boot.h, modules that are there from the first moment; OUT/library-table.h and OUT/library.bin, all others, packed."""

import marshal
import os
import re
import sys
import zlib

# What a function cannot use: programs, windows, processes, tests, databases that are not there, and what lies in containers only.
LEFT_OUT = re.compile(
    r"""test | tests | idle_test | idlelib | tkinter | turtledemo | lib2to3 | ensurepip | venv | pydoc_data | _pyrepl | curses
    | dbm | multiprocessing | ctypes | wsgiref | __phello__ | msilib | pip | site-packages | dist-packages | lib-dynload | config-.* | __pycache__
    | (turtle | pydoc | antigravity | this | webbrowser | pdb | doctest | cProfile | profile | pstats | trace | ssl | sqlite3 | bz2 | lzma
    | nturl2path | ntpath_ | _osx_support | _aix_support | _android_support | _apple_support | _ios_support | pty | tty | crypt | imaplib | poplib
    | smtplib | ftplib | socketserver | nntplib | telnetlib | xmlrpc | mailbox | readline | rlcompleter | site | sitecustomize | venv | zipapp
    | __hello__ | _pydatetime_ | this | pyclbr | compileall | py_compile | modulefinder | tabnanny | code | cmd | bdb) \.py | sqlite3 | xmlrpc""",
    re.VERBOSE)
# Of the encodings those whose tables are not in C, and what Windows has.
ENCODINGS_LEFT_OUT = re.compile(r"encodings/(big5|cp932|cp949|cp950|euc_|gb|hz|iso2022|johab|shift_jis|mbcs|oem|palmos|hp_roman|bz2_codec|ptcp154|kz1048|mac_)")
# Imported before there is anything that could import.
BOOT = ("encodings", "encodings.aliases", "encodings.utf_8", "encodings.ascii", "encodings.latin_1")
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


def array(name, data):
    return f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};\n"


def main(library, prelude, out):
    modules = {}
    for name, path in library_files(library):
        modules[name] = (path.endswith("/__init__.py"), compiled(f"{library}/{path}", f"{LIBRARY_ROOT}/{path}"))
    boot = {name: modules.pop(name) for name in BOOT}
    for file in sorted(os.listdir(prelude)):
        name = file.removesuffix(".py")
        if name != "serverledge":
            name = f"_serverledge_{name}"
        code = (False, compiled(f"{prelude}/{file}", f"<{name}>"))
        (boot if name == "_serverledge_importing" else modules)[name] = code
    with open(f"{out}/boot.h", "w", encoding="utf-8") as file:
        file.write("#include <Python.h>\n")
        table = []
        for number, (name, (is_package, data)) in enumerate(boot.items()):
            file.write(array(f"boot_{number}", data))
            table.append(f'{{"{name}", boot_{number}, {len(data)}, {int(is_package)}}},\n')
        file.write(f"static const struct _frozen boot_modules[] = {{{''.join(table)}{{0}}}};\n")
    packed = bytearray()
    with open(f"{out}/library-table.h", "w", encoding="utf-8") as file:
        file.write("const struct library_file library_files[] = {\n")
        for name, (is_package, data) in sorted(modules.items()):
            each = zlib.compress(data, 9)
            file.write(f'{{"{name}", {len(packed)}, {len(each)}, {len(data)}, {str(is_package).lower()}}},\n')
            packed += each
        file.write("};\n")
    with open(f"{out}/library.bin", "wb") as file:
        file.write(packed)
    print(f"{len(modules)} modules, {sum(len(data) for _, data in modules.values())} bytes, packed {len(packed)}")


main(*sys.argv[1:])
