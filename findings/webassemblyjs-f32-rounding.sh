#!/usr/bin/env bash
# @webassemblyjs rounds an f32 that lies in the middle away from zero.
#
# WebAssembly Core Specification, text format, floating-point values, and execution, numerics: roundings are to the nearest
# value, and to the even one if both are as near. 16777217 lies between 16777216 (even) and 16777218. Expected: 16777216, as
# Math.fround gives and a DataView writes. Seen: 16777218.
#
# npm @webassemblyjs/ieee754 1.14.1, encodeF32.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/ieee754@1.14.1 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/ieee754 1.14.1"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import ieee754 from '@webassemblyjs/ieee754';

const seen = [16777215, 16777217, 16777219, -16777217].map((number) => {
    const written = Buffer.from(ieee754.encodeF32(number)).readFloatLE(0);
    console.log(`${number}: ${written}; Math.fround: ${Math.fround(number)}`);
    return written;
});
assert.deepEqual(seen, [16777215, 16777218, 16777220, -16777218]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: not to the even one"
