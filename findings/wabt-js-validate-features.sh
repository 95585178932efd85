#!/usr/bin/env bash
# wabt.js's validate() refuses a module of a feature that its reader was told to allow.
#
# wabt.js's README and types: "validate(): void. Validates the module. Throws if not valid"; features are given to parseWat and
# readWasm (WasmFeatures: "extended_const: Extended constant expressions"). Expected: a valid module of that feature passes.
# Seen: it is refused, as validate() knows nothing of the features; only an argument that is written nowhere lets it pass.
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
const features = { extended_const: true };
const module = tool.parseWat('module.wat', '(module (import "a" "b" (global i32)) (global i32 (i32.add (global.get 0) (i32.const 3))))', features);
tool.readWasm(module.toBinary({}).buffer, { ...features, check: true });
console.log('readWasm, which checks: no error');
assert.throws(() => module.validate(), /not valid in initializer/);
console.log('validate(): refused');
module.validate(features);
console.log('validate(features): no error');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: refused without the unwritten argument"
