#!/usr/bin/env bash
# pywasm: after one trap, every later call of the runtime fails.
#
# WebAssembly Core Specification, execution, invocation: a trap ends the computation that caused it; the store stays, and a
# host may go on to invoke (the official tests have an assert_return after assert_trap on one module in nearly every file).
# Expected: 6 / 3 gives 2 again after a division by zero. Seen: AssertionError from then on.
#
# PyPI pywasm 2.2.3.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v python3 >/dev/null || cannot "no python3"
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check pywasm==2.2.3; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
echo "$(python/bin/python --version), pywasm 2.2.3"
cat >try.py <<'END'
import pywasm

# (module (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))
with open('module.wasm', 'wb') as file:
    file.write(bytes.fromhex(
        '0061736d0100000001070160027f7f017f03020100070a010664697669646500000a09010700200020016d0b'))
runtime = pywasm.core.Runtime()
module = runtime.instance_from_file('module.wasm')


def divide(a, b):
    try:
        return runtime.invocate(module, 'divide', [a, b])
    except Exception as error:
        return type(error).__name__


seen = [divide(6, 3), divide(1, 0), divide(6, 3), divide(8, 2)]
print('6/3, 1/0, 6/3, 8/2:', seen)
assert seen[0] == [2] and seen[1] != [0] and seen[2:] == ['AssertionError', 'AssertionError'], seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: one trap, and the instance is of no more use"
