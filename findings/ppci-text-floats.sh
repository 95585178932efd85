#!/usr/bin/env bash
# ppci's assembler drops the sign of "-0" and the payload of a NaN, and its printer the sign of a NaN.
#
# WebAssembly Core Specification, text format, floating-point values: "-0" is the negative zero, "nan:0x200000" a NaN with that
# payload. Expected: the constants of these texts, and text that gives back the same constants. Seen: 0.0 (but "-0.0" is
# right), the canonical NaN, and "nan" for a negative NaN.
#
# PyPI ppci 0.5.8, ppci.wasm.Module.
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
from ppci.wasm import Module


def binary(literal):
    return Module(f'(module (func (result f32) (f32.const {literal})))').to_bytes()


def constant(literal):
    code = bytes(binary(literal))
    at = code.rindex(b'\x43')
    return code[at + 1:at + 5][::-1].hex()


seen = {literal: constant(literal) for literal in ('-0.0', '-0', 'nan', '-nan', 'nan:0x200000')}
print(seen)
assert seen == {'-0.0': '80000000', '-0': '00000000', 'nan': '7fc00000', '-nan': 'ffc00000', 'nan:0x200000': '7fc00000'}, seen
printed = Module(bytes(binary('-nan'))).to_string()
print(printed)
assert 'f32.const nan' in printed and '-nan' not in printed
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: -0 and nan:0x200000 are other constants"
