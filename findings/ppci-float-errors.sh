#!/usr/bin/env bash
# ppci fails where floating-point arithmetic has a result: division by zero, roots of negative numbers, overflow.
#
# WebAssembly Core Specification, execution, numerics: fdiv "Else if z2 is a zero, then return an infinity", fsqrt "Else if z
# has a negative sign, then return an element of nans", fadd rounds to an infinity; none of these traps. Expected: inf, nan,
# inf. Seen: Python's own errors end the guest, and the sum is no f32.
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
    (func (export "divide") (param f64 f64) (result f64) (f64.div (local.get 0) (local.get 1)))
    (func (export "root") (param f64) (result f64) (f64.sqrt (local.get 0)))
    (func (export "add") (param f32 f32) (result f32) (f32.add (local.get 0) (local.get 1))))
"""), {}, target='python').exports


def call(name, *arguments):
    try:
        return exports[name](*arguments)
    except Exception as error:
        return f'{type(error).__name__}: {error}'


seen = [call('divide', 1.0, 2.0), call('divide', 1.0, 0.0), call('root', -1.0), call('add', 3e38, 3e38)]
print('1/2, 1/0, root of -1, f32 3e38+3e38:', seen)
assert seen[0] == 0.5 and [str(result).split(':')[0] for result in seen[1:3]] == ['ZeroDivisionError', 'ValueError'], seen
assert 5e38 < seen[3] < 7e38, seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: neither inf nor nan"
