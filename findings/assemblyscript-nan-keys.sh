#!/usr/bin/env bash
# AssemblyScript's Map and Set never find a NaN that they hold, and hold it as often as it is put in.
#
# AssemblyScript's documentation of Map: "The Map API is very similar to JavaScript's", but for a get of what is not there; in
# JavaScript keys are compared as by SameValueZero, with which NaN is NaN. Its own Array#includes finds NaN. Expected: one entry
# after two, which has() finds and delete() removes. Seen: two, which neither of them finds.
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
export function includes(): bool { return [NaN].includes(NaN); }
export function mapSize(): i32 { const map = new Map<f64, i32>(); map.set(NaN, 1); map.set(NaN, 2); return map.size; }
export function mapHas(): bool { const map = new Map<f64, i32>(); map.set(NaN, 1); return map.has(NaN); }
export function setSize(): i32 { const set = new Set<f64>(); set.add(NaN); set.add(NaN); set.delete(NaN); return set.size; }
END
timeout 60 npx asc guest.ts -o guest.wasm --bindings raw
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync('guest.wasm')), { env: { abort() { throw new Error('abort'); } } });
const map = new Map([[NaN, 1], [NaN, 2]]), set = new Set([NaN, NaN]);
set.delete(NaN);
const javascript = [Number([NaN].includes(NaN)), map.size, Number(map.has(NaN)), set.size];
const seen = ['includes', 'mapSize', 'mapHas', 'setSize'].map((name) => exports[name]());
console.log('Array#includes, size of a Map after two, Map#has, size of a Set after two and delete:');
console.log({ javascript: javascript.join(' '), assemblyscript: seen.join(' ') });
assert.deepEqual(javascript, [1, 1, 1, 0]);
assert.deepEqual(seen, [1, 2, 0, 2]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: NaN is lost"
