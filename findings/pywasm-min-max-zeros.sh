#!/usr/bin/env bash
# pywasm's min and max of two zeros depend on their order.
#
# WebAssembly Core Specification, execution, numerics: fmin "If both z1 and z2 are zeroes of opposite signs, then return
# negative zero", fmax the positive one. Expected: in either order -0.0 and 0.0. Seen: the first operand. The same for f32.
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

# (module (func (export "min") (param f64 f64) (result f64) (f64.min (local.get 0) (local.get 1))) ... max)
with open('module.wasm', 'wb') as file:
    file.write(bytes.fromhex(
        '0061736d0100000001070160027c7c017c0303020000070d02036d696e0000036d617800010a1102070020002001a40b070020002001a50b'))
runtime = pywasm.core.Runtime()
module = runtime.instance_from_file('module.wasm')

seen = {}
for name in ('min', 'max'):
    for pair in ([0.0, -0.0], [-0.0, 0.0]):
        seen[name, str(pair)] = str(runtime.invocate(module, name, pair)[0])
        print(f'f64.{name}{tuple(pair)}: {seen[name, str(pair)]}')
assert list(seen.values()) == ['0.0', '-0.0', '0.0', '-0.0'], seen
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the first operand, whichever it is"
