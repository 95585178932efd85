#!/usr/bin/env bash
# polywasm's nearest instructions round every half up, as Math.round does, instead of to the even number.
#
# WebAssembly Core Specification, execution, numerics: fnearest "Else, return the value that is nearest to z and equal to an
# integer; if two values are equally near, return the even one". polywasm's README lists no validation, no traps and no NaN
# patterns as its limits, nothing of rounding. Expected: 0, 2 and -2 for 0.5, 2.5 and -1.5. Seen: 1, 3 and -1, for f32 and f64.
#
# npm polywasm 0.2.0; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps polywasm@0.2.0 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), polywasm 0.2.0, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { WebAssembly as polyfill } from 'polywasm';
import wabt from 'wabt';

const text = `(module
    (func (export "f32") (param f32) (result f32) (f32.nearest (local.get 0)))
    (func (export "f64") (param f64) (result f64) (f64.nearest (local.get 0))))`;
const module = new Uint8Array((await wabt()).parseWat('module.wat', text).toBinary({}).buffer);
const values = [0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5];
const seen = (engine) => {
    const { exports } = new engine.Instance(new engine.Module(module));
    assert.deepEqual(values.map(exports.f32), values.map(exports.f64));
    return values.map(exports.f64);
};
const [native, polywasm] = [seen(WebAssembly), seen(polyfill)];
console.table(values.map((value, at) => ({ value, native: native[at], polywasm: polywasm[at] })));
assert.deepEqual(native, [0, 2, 2, 4, -0, -2, -2]);
assert.deepEqual(polywasm, [1, 2, 3, 4, -0, -1, -2]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: halves are rounded up"
