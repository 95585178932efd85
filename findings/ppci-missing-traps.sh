#!/usr/bin/env bash
# ppci runs on where WebAssembly traps: conversions out of range, and the one signed division that overflows.
#
# WebAssembly Core Specification, execution, numerics: trunc "Else if trunc(z) is out of range of the target type, the result
# is undefined" (a trap of i32.trunc_f64_s and its kin), and idiv_s of the least number by -1 is undefined (a trap too).
# Expected: traps. Seen: numbers, and not such as fit the type: 3000000000 as an i32.
#
# PyPI ppci 0.5.8, ppci.wasm.instantiate with target='python'.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v python3 >/dev/null || cannot "no python3"
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check ppci==0.5.8; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
echo "$(python/bin/python --version), ppci 0.5.8"
cat >try.py <<'END'
from ppci.wasm import Module, instantiate

exports = instantiate(Module("""
(module
    (func (export "truncate") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
    (func (export "unsigned") (param f64) (result i32) (i32.trunc_f64_u (local.get 0)))
    (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))
"""), {}, target='python').exports


def call(name, *arguments):
    try:
        return exports[name](*arguments)
    except Exception as error:
        return f'{type(error).__name__}: {error}'


seen = [call('truncate', -2.5), call('truncate', 3e9), call('unsigned', -1.0), call('divide', -2**31, -1)]
print('i32.trunc_f64_s of -2.5, of 3e9, i32.trunc_f64_u of -1, i32.div_s of -2^31 by -1:', seen)
assert seen[0] == -2 and all(isinstance(number, int) for number in seen), seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: results, no traps"
