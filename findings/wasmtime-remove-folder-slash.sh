#!/usr/bin/env bash
# Wasmtime's WASI does not remove an empty folder whose name is given with a slash at its end.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_remove_directory: "Remove a directory. [...] Note: This is similar to
# unlinkat(fd, path, AT_REMOVEDIR) in POSIX", where "folder/" names the folder (path resolution: a slash at the end asks for a
# directory). Expected: success. Seen: error 28 (inval), and the folder stays: the host is asked to remove "." in it, which is
# never allowed.
#
# PyPI wasmtime 50.0.1 on Linux.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v python3 >/dev/null || cannot "no python3"
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
echo "$(python/bin/python --version), wasmtime 50.0.1"
cat >try.py <<'END'
import os
import sys

import wasmtime

guest = wasmtime.wat2wasm("""
(module
    (import "wasi_snapshot_preview1" "path_remove_directory" (func $path_remove_directory (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "remove") (param i32 i32 i32) (result i32)
        (call $path_remove_directory (local.get 0) (local.get 1) (local.get 2))))
""")
engine = wasmtime.Engine()
linker = wasmtime.Linker(engine)
linker.define_wasi()
store = wasmtime.Store(engine)
configuration = wasmtime.WasiConfig()
os.mkdir('sandbox')
configuration.preopen_dir('sandbox', '/')
store.set_wasi(configuration)
exports = linker.instantiate(store, wasmtime.Module(engine, guest)).exports(store)


def remove(name):
    os.makedirs('sandbox/folder', exist_ok=True)
    exports['memory'].write(store, name.encode(), 4096)
    error = exports['remove'](store, 3, 4096, len(name))
    return error, os.path.exists('sandbox/folder')


os.mkdir('folder')
os.rmdir('folder/')
print('the host removes folder/')
seen = {name: remove(name) for name in ('folder', 'folder/')}
print('error, and whether it is still there:', seen)
assert seen == {'folder': (0, False), 'folder/': (28, True)}, seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: error 28, and the folder stays"
