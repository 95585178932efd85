#!/usr/bin/env bash
# pywasm rounds twice when it converts a 64-bit integer to an f32.
#
# WebAssembly Core Specification, execution, numerics: convert "Return float_N(j)", the nearest value, rounded once.
# 0x7fffff4000000001 lies just above the middle of two f32 values. Expected: the upper one, 0x5effffff. Seen: 0x5efffffe, as an
# f64 on the way lost the last bit.
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
import struct

import pywasm

# (module (func (export "convert") (param i64) (result f32) (f32.convert_i64_s (local.get 0))))
with open('module.wasm', 'wb') as file:
    file.write(bytes.fromhex(
        '0061736d0100000001060160017e017d03020100070b0107636f6e7665727400000a070105002000b40b'))
runtime = pywasm.core.Runtime()
module = runtime.instance_from_file('module.wasm')

number = 0x7fffff4000000001
[result] = runtime.invocate(module, 'convert', [number])
below, above = (struct.unpack('<f', struct.pack('<I', bits))[0] for bits in (0x5efffffe, 0x5effffff))
print(f'seen {int(result):#x}; {int(above):#x} is {int(above) - number:#x} away, {int(below):#x} is {number - int(below):#x} away')
assert result == below and int(above) - number < number - int(below)
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: not the nearest value"
