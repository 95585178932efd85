#!/usr/bin/env bash
# wasmati makes an invalid module of an i32 constant of 2^31 and more, and refuses a negative lane of a vector.
#
# wasmati's README: "The API directly corresponds to Wasm opcodes", "like writing WAT by hand". WebAssembly Core Specification,
# text format, integers: an i32 is written signed or unsigned, so that i32.const 2166136261 (where the FNV hash begins) is the
# same as i32.const -2128831035, and v128.const i32x4 1 -2 3 4 is allowed. Expected: both. Seen: a number of more than 32 bits
# in the module ("extra bits in varint"; i64.const of 2^63 and more alike), and an error for -2.
#
# npm wasmati 0.2.4.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasmati@0.2.4 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasmati 0.2.4"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { func, i32, i32x4, Module, v128 } from 'wasmati';

const result = async (body) => {
    try {
        const { instance } = await Module({ exports: { f: func({ in: [], out: [i32] }, body) } }).instantiate();
        return instance.exports.f();
    } catch (error) {
        return `${error.name}: ${error.message}`;
    }
};
const seen = {
    signed: await result(() => { i32.const(-2128831035); }),
    unsigned: await result(() => { i32.const(2166136261); }),
    lanes: await result(() => { v128.const('i32x4', [1, 2, 3, 4]); i32x4.extract_lane(1); }),
    negativeLane: await result(() => { v128.const('i32x4', [1, -2, 3, 4]); i32x4.extract_lane(1); }),
};
console.log(seen);
assert.equal(seen.signed, -2128831035);
assert.match(seen.unsigned, /^CompileError: .*extra bits in varint/);
assert.equal(seen.lanes, 2);
assert.match(seen.negativeLane, /doesn't fit into 4 bytes/);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: constants of 2^31 and more do not work"
