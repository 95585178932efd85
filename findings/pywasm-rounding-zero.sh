#!/usr/bin/env bash
# pywasm's rounding instructions lose the sign of zero.
#
# WebAssembly Core Specification, execution, numerics: fceil "Else if z is smaller than 0 but greater than -1, then return
# negative zero", ftrunc and fnearest alike; "If z is a zero, then return z" in all four. Expected: -0.0 for ceil, trunc and
# nearest of -0.5, and for all four of -0.0. Seen: 0.0. The same for f32.
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
import math

import pywasm

# (module (func (export "ceil") (param f64) (result f64) (f64.ceil (local.get 0))) ... trunc, nearest, floor)
with open('module.wasm', 'wb') as file:
    file.write(bytes.fromhex(
        '0061736d0100000001060160017c017c03050400000000072204046365696c0000057472756e630001076e656172657374000205666c6f6f7200030a'
        '1904050020009b0b050020009d0b050020009e0b050020009c0b'))
runtime = pywasm.core.Runtime()
module = runtime.instance_from_file('module.wasm')

wrong = 0
for name, value in [('ceil', -0.5), ('trunc', -0.5), ('nearest', -0.5), ('ceil', -0.0), ('trunc', -0.0), ('nearest', -0.0), ('floor', -0.0)]:
    [result] = runtime.invocate(module, name, [value])
    print(f'f64.{name} of {value}: {result}; expected: -0.0')
    assert result == 0
    wrong += math.copysign(1, result) == 1
assert wrong == 7, wrong
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: 0.0 in all seven"
