#!/usr/bin/env bash
# watr's optimize makes a NaN of what an instruction gives for an infinity or a hexadecimal float.
#
# watr's README: "spec-complete", and optimize does "fold constants, treeshake, eliminate dead code"; so the same program. Web-
# Assembly Core Specification, text format, floating-point values: "inf" and "0x1.8p+1" are constants like others. Expected:
# (f64.neg (f64.const inf)) is -inf before and after. Seen: nan after it, with each instruction of one operand: neg, abs, sqrt,
# the roundings, promotion, and the bits that reinterpret gives. Decimal constants, and two operands, are right.
#
# npm watr 5.0.0.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps watr@5.0.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), watr 5.0.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { compile } from 'watr';
import optimize from 'watr/optimize';

const source = `(module
    (func (export "negative") (result f64) (f64.neg (f64.const inf)))
    (func (export "minimum") (result f64) (f64.min (f64.const inf) (f64.const 3)))
    (func (export "greater") (result i32) (f64.gt (f64.const inf) (f64.const 3)))
    (func (export "hexadecimal") (result f32) (f32.neg (f32.const 0x1.8p+1)))
    (func (export "bits") (result i32) (i32.reinterpret_f32 (f32.const inf)))
    (func (export "decimal") (result f64) (f64.neg (f64.const 1.5))))`;
const seen = (text) => {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(compile(text)));
    return Object.fromEntries(Object.entries(exports).map(([name, call]) => [name, call()]));
};
const before = seen(source), after = seen(optimize(source));
console.log({ before, after });
assert.deepEqual(before, { negative: -Infinity, minimum: 3, greater: 1, hexadecimal: -3, bits: 0x7f800000, decimal: -1.5 });
assert.deepEqual(after, { negative: NaN, minimum: 3, greater: 1, hexadecimal: NaN, bits: 0x7fc00000, decimal: -1.5 });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: NaN after optimizing"
