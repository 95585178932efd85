#!/usr/bin/env bash
# ppci's min and max lose a NaN.
#
# WebAssembly Core Specification, execution, numerics: fmin and fmax "If either z1 or z2 is a NaN, then return an element of
# nans". Expected: nan in either order. Seen: the first operand in both orders, so that the NaN is lost when it is the second.
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
    (func (export "min") (param f64 f64) (result f64) (f64.min (local.get 0) (local.get 1)))
    (func (export "max") (param f64 f64) (result f64) (f64.max (local.get 0) (local.get 1))))
"""), {}, target='python').exports


def call(name, *arguments):
    try:
        return exports[name](*arguments)
    except Exception as error:
        return f'{type(error).__name__}: {error}'


nan = float('nan')
seen = [str(call(name, *pair)) for name in ('min', 'max') for pair in ((1.0, nan), (nan, 1.0))]
print('min(1, nan), min(nan, 1), max(1, nan), max(nan, 1):', seen)
assert seen == ['1.0', 'nan', '1.0', 'nan'], seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: 1.0 where one operand is nan"
