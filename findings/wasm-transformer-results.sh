#!/usr/bin/env bash
# @wasmer/wasm-transformer makes an invalid module of one whose import returns an i64, and nothing of one without imports.
#
# Its README: lowerI64Imports runs "transformations on Wasm binaries to modify the actual code that gets run", "introducing
# trampoline functions for i64 WASI imports"; what it returns is to be compiled. WebAssembly Core Specification, validation:
# i32.wrap_i64 needs an i64 operand. Expected: a valid module. Seen: the trampoline wraps each operand once more for an i64
# result, an i32 too, so that every engine refuses it; and for a module that imports no function an empty array.
#
# npm @wasmer/wasm-transformer 0.12.0; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @wasmer/wasm-transformer@0.12.0 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @wasmer/wasm-transformer 0.12.0, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import transformer from '@wasmer/wasm-transformer';
import wabt from 'wabt';

const tool = await wabt();
const lower = (text) => {
    const module = new Uint8Array(tool.parseWat('module.wat', text).toBinary({}).buffer);
    assert.ok(WebAssembly.validate(module));
    return transformer.lowerI64Imports(module);
};
const caller = (type, call) => `(module (import "a" "b" (func $imported ${type})) (func (export "f") (drop ${call})))`;
const plain = lower(caller('(param i64) (result i32)', '(call $imported (i64.const 1))'));
const wide = lower(caller('(param i64) (result i64)', '(call $imported (i64.const 1))'));
const none = lower('(module (func (export "f") (result i64) (i64.const 1)))');
let message;
try {
    new WebAssembly.Module(wide);
} catch (error) {
    message = error.message;
}
console.log('an import with an i32 result is valid after it:', WebAssembly.validate(plain));
console.log('an import with an i64 result:', message);
console.log('a module without imports:', none.length, 'bytes');
assert.ok(WebAssembly.validate(plain));
assert.match(message, /i32\.wrap_i64\[0\] expected type i64, found i32\.wrap_i64 of type i32/);
assert.equal(none.length, 0);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: no valid module"
