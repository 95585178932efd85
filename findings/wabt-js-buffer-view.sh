#!/usr/bin/env bash
# wabt.js reads a Uint8Array that is a part of a larger buffer at the larger one's length.
#
# wabt.js's README: readWasm(buffer: Uint8Array, ...), parseWat(filename, buffer: string | Uint8Array). Expected: the bytes of
# the array are read. Seen: those and more after them, so that a valid module is refused, and so is what Node's Buffer.from and
# Buffer.concat make, as their memory is shared. A copy of the same bytes is read.
#
# npm wabt 1.0.39.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';

const tool = await wabt();
const module = tool.parseWat('module.wat', '(module (func (export "f")))').toBinary({}).buffer;
const larger = new Uint8Array(module.length + 64);
larger.set(module);
const view = larger.subarray(0, module.length);
assert.ok(WebAssembly.validate(view));
const read = (bytes) => {
    try {
        return `${tool.readWasm(bytes, {}).toText({}).length} letters`;
    } catch (error) {
        return error.message.split('\n').slice(0, 2).join(' ');
    }
};
const seen = { copy: read(new Uint8Array(view)), view: read(view) };
console.log(seen);
assert.match(seen.copy, /letters/);
assert.match(seen.view, /readWasm failed/);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: valid, and refused"
