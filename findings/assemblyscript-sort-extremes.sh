#!/usr/bin/env bash
# AssemblyScript's sort() puts i32 values that are far apart in the wrong order.
#
# AssemblyScript's documentation of Array and TypedArray: sort() sorts "the values of the array in place", and without a
# function "the comparator defaults to compare two values of type T". Expected: [-1, 0, 2147483647]. Seen: 2147483647 first, as
# the default comparator subtracts and the difference does not fit an i32; so with every two values that are 2^31 or more
# apart, such as hashes. With u32, i64 and f64 it is right, and also with a comparator that compares.
#
# npm assemblyscript 0.28.20.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps assemblyscript@0.28.20 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), assemblyscript 0.28.20"
cat >guest.ts <<'END'
const narrow: i32[] = [2147483647, -1, 0], wide: i64[] = [2147483647, -1, 0], compared: i32[] = [2147483647, -1, 0];
const typed = new Int32Array(3);
typed[0] = 2147483647; typed[1] = -1;
narrow.sort(); wide.sort(); typed.sort();
compared.sort((a, b) => i32(a > b) - i32(a < b));
export function array(at: i32): i32 { return narrow[at]; }
export function typedArray(at: i32): i32 { return typed[at]; }
export function array64(at: i32): i32 { return <i32>wide[at]; }
export function comparator(at: i32): i32 { return compared[at]; }
END
timeout 60 npx asc guest.ts -o guest.wasm --bindings raw
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync('guest.wasm')), { env: { abort() { throw new Error('abort'); } } });
const sorted = (name) => [0, 1, 2].map((at) => exports[name](at));
const seen = Object.fromEntries(['array', 'typedArray', 'array64', 'comparator'].map((name) => [name, sorted(name).join(', ')]));
console.log(seen, "JavaScript's Int32Array:", Int32Array.of(2147483647, -1, 0).sort().join(', '));
assert.deepEqual(seen, { array: '2147483647, -1, 0', typedArray: '2147483647, -1, 0', array64: '-1, 0, 2147483647', comparator: '-1, 0, 2147483647' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the largest value comes first"
