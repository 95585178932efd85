#!/usr/bin/env bash
# Wasmtime turns a guest's exit with a status of 126 and more into an error without a status.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), proc_exit: "Terminate the process normally. An exit code of 0 indicates
# successful termination of the program"; exitcode is a u32, and POSIX's exit gives a parent the lower eight bits, 0 to 255.
# Expected: wasmtime.ExitTrap, whose code is "the process exit code", as for 125. Seen: a WasmtimeError, as if the guest had
# trapped, for 126, 255 (exit(-1) on many systems) and 256.
#
# PyPI wasmtime 50.0.1. (Node 20's node:wasi returns each of these.)
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
import wasmtime

engine = wasmtime.Engine()


def leave(status):
    store = wasmtime.Store(engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    instance = linker.instantiate(store, wasmtime.Module(engine, wasmtime.wat2wasm(f"""
(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 0)
    (func (export "_start") (call $exit (i32.const {status}))))
""")))
    try:
        instance.exports(store)['_start'](store)
    except wasmtime.ExitTrap as error:
        return error.code
    except wasmtime.WasmtimeError as error:
        return str(error).strip().splitlines()[-1].strip()


seen = {status: leave(status) for status in (0, 1, 125, 126, 255, 256)}
for status, result in seen.items():
    print(f'proc_exit({status}): {result}')
assert [seen[0], seen[1], seen[125]] == [0, 1, 125], seen
assert all('invalid exit status' in str(seen[status]) for status in (126, 255, 256)), seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: no status above 125"
