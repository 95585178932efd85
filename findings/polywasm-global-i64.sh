#!/usr/bin/env bash
# polywasm shows a host another number than the one that it has just set in an exported i64 global.
#
# WebAssembly JavaScript Interface, the value of a Global: it is kept as a WebAssembly value (ToWebAssemblyValue) and given
# back by ToJSValue: an i64 as the BigInt of its signed value; polywasm's README has "JS BigInt to Wasm i64 Integration" as
# supported. Expected: -9n after setting -9n, as the guest's own getter gives it. Seen: 18446744073709551607n. An f32 global
# keeps all digits of a double that is set, until the guest calculates with it.
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
    (global $count (export "count") (mut i64) (i64.const -5))
    (global (export "share") (mut f32) (f32.const 0))
    (func (export "get") (result i64) (global.get $count)))`;
const module = new Uint8Array((await wabt()).parseWat('module.wat', text).toBinary({}).buffer);
const seen = (engine) => {
    const { count, share, get } = new engine.Instance(new engine.Module(module)).exports;
    const first = count.value;
    count.value = -9n;
    share.value = 0.1;
    return { first, set: count.value, get: get(), share: share.value };
};
const native = seen(WebAssembly), polywasm = seen(polyfill);
console.log({ native, polywasm });
assert.deepEqual(native, { first: -5n, set: -9n, get: -9n, share: Math.fround(0.1) });
assert.deepEqual(polywasm, { first: -5n, set: 2n ** 64n - 9n, get: -9n, share: 0.1 });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: not the number that was set"
