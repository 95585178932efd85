#!/usr/bin/env bash
# pywasm refuses an unsigned 64-bit division whose result is 2^63 or more.
#
# WebAssembly Core Specification, execution, numerics: idiv_u "Else, return the result of dividing i1 by i2, truncated toward
# zero": only a division by 0 is undefined. Expected: 2^64-1 by 1 is 2^64-1. Seen: OverflowError.
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

# (module (func (export "divide") (param i64 i64) (result i64) (i64.div_u (local.get 0) (local.get 1))))
with open('module.wasm', 'wb') as file:
    file.write(bytes.fromhex(
        '0061736d0100000001070160027e7e017e03020100070a010664697669646500000a0901070020002001800b'))
runtime = pywasm.core.Runtime()
module = runtime.instance_from_file('module.wasm')


def divide(a, b):
    fresh = pywasm.core.Runtime()
    try:
        return fresh.invocate(fresh.instance_from_file('module.wasm'), 'divide', [a, b])
    except Exception as error:
        return type(error).__name__


seen = [divide(-1, 3), divide(-1, 2), divide(2**63 - 1, 1), divide(-1, 1), divide(-2**63, 1)]
print('2^64-1 by 3, by 2, 2^63-1 by 1, 2^64-1 by 1, 2^63 by 1:', seen)
assert seen == [[(2**64 - 1) // 3], [2**63 - 1], [2**63 - 1], 'OverflowError', 'OverflowError'], seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: a result that needs all 64 bits is refused"
