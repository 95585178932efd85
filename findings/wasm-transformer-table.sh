#!/usr/bin/env bash
# @wasmer/wasm-transformer leaves lowered imports in tables and exports, where their type is another one than before.
#
# Its README: lowerI64Imports introduces "trampoline functions for i64 WASI imports". WebAssembly Core Specification, execution,
# call_indirect: a trap if the function's type is not the expected one. Expected: a function pointer to the import calls its
# trampoline, as a direct call does. Seen: the table still holds the import itself, now of i32, so that the guest's own call
# through the table traps; an export of the import takes an i32 too.
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
const original = new Uint8Array(tool.parseWat('module.wat', `(module
    (type $seek (func (param i64) (result i32)))
    (import "host" "seek" (func $seek (type $seek)))
    (table 1 funcref) (elem (i32.const 0) $seek)
    (export "seek" (func $seek))
    (func (export "direct") (result i32) (call $seek (i64.const 5)))
    (func (export "pointer") (result i32) (call_indirect (type $seek) (i64.const 5) (i32.const 0))))`).toBinary({}).buffer);
const seen = (module) => {
    assert.ok(WebAssembly.validate(module));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module), { host: { seek: Number } });
    const call = (name, ...values) => {
        try {
            return exports[name](...values);
        } catch (error) {
            return error.name;
        }
    };
    return [call('direct'), call('pointer'), call('seek', 5n)];
};
const before = seen(original), after = seen(transformer.lowerI64Imports(original));
console.log('direct call, call through the table, export, called with an i64:');
console.log({ before, after });
assert.deepEqual(before, [5, 5, 5]);
assert.deepEqual(after, [5, 'RuntimeError', 'TypeError']);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the call through the table traps"
