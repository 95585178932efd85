#!/usr/bin/env bash
# jco refuses small integers, booleans and flags whose core value has other bits set, as the canonical ABI lets it have.
#
# Component Model, design/mvp/CanonicalABI.md: lift_flat_unsigned and lift_flat_signed: "When the target type is narrower than
# an i32, the Canonical ABI ignores the unused high bits"; convert_int_to_bool: "treats 0 as false and all other bit-patterns
# as true"; unpack_flags_from_int reads one bit for each label and looks at no other. Expected: 0x1ff is 255 as a u8, -1 as an
# s8 and all flags of three; 2 is true. Seen: a TypeError each time ("must be between 0 and 255", "invalid variant discriminant
# for bool", "flags have extraneous bits set"), from a call that has already had its effects.
#
# npm @bytecodealliance/jco-transpile 0.15.0 (jco 1.35.0). (Wasmtime 50 gives 255, -1, all flags, and true.)
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bytecodealliance/jco-transpile@0.15.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), jco-transpile 0.15.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { transpileBytes } from '@bytecodealliance/jco-transpile';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';

const interfaces = `package a:b;
world c {
    flags three { x, y, z }
    export byte: func(core: u32) -> u8;
    export signed: func(core: u32) -> s8;
    export truth: func(core: u32) -> bool;
    export set: func(core: u32) -> three;
}`;
const core = await parse(`(module (memory (export "memory") 1) (func $same (param i32) (result i32) (local.get 0))
    (export "byte" (func $same)) (export "signed" (func $same)) (export "truth" (func $same)) (export "set" (func $same)))`);
const component = await componentNew(await componentEmbed({ binary: core, witSource: interfaces }), []);
for (const [name, content] of Object.entries((await transpileBytes(component, { name: 'guest', outDir: 'out' })).files)) {
    fs.mkdirSync(new URL('.', new URL(name, import.meta.url)), { recursive: true });
    fs.writeFileSync(name, content);
}
fs.writeFileSync('out/package.json', '{"type": "module"}');
const guest = await import('./out/guest.js');
const call = (name, value) => {
    try {
        return JSON.stringify(guest[name](value));
    } catch (error) {
        return `${error.name}: ${error.message}`;
    }
};
const seen = [['byte', 0xff], ['byte', 0x1ff], ['signed', 0x7f], ['signed', 0x1ff], ['truth', 1], ['truth', 2], ['set', 7], ['set', 0x1ff]]
    .map(([name, value]) => [name, value, call(name, value)]);
for (const line of seen) console.log(...line);
assert.deepEqual(seen.map(([, , result]) => result.startsWith('TypeError')), [false, true, false, true, false, true, false, true]);
END
status=0
timeout 120 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: errors for values that the ABI allows"
