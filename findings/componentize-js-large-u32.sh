#!/usr/bin/env bash
# A component that ComponentizeJS made of JavaScript turns each u32 of 2^31 and more into another number.
#
# Component Model, design/mvp/CanonicalABI.md: a u32 is lowered as the i32 of the same 32 bits. Expected: the host is called
# with 3000000000, as the guest's source says. Seen: 3221225472; 0 for 2147483648, 4292870144 for 4294967295, for what is given
# to an import and for what an export returns: the lower 32 bits of the number as a JavaScript double. Inside a list the same
# numbers are right. (A negative s64 that is given to an import, such as -1n, ends the guest with "unreachable".)
#
# npm @bytecodealliance/componentize-js 0.23.0; npm @bytecodealliance/jco-transpile 0.15.0 runs it (PyPI wasmtime 50.0.1 gives
# the same numbers).
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bytecodealliance/componentize-js@0.23.0 @bytecodealliance/jco-transpile@0.15.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), componentize-js 0.23.0, jco-transpile 0.15.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { componentize } from '@bytecodealliance/componentize-js';
import { transpileBytes } from '@bytecodealliance/jco-transpile';

const { component } = await componentize(`
import show from 'show';
export function literal() { show(3000000000); }
export function many(numbers) { return numbers; }
export function pass(number) { show(number); return number; }
`, {
    witWorld: 'package a:b; world c { import show: func(number: u32); export literal: func(); export many: func(numbers: list<u32>) -> list<u32>; export pass: func(number: u32) -> u32; }',
    worldName: 'c',
    disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
for (const [name, content] of Object.entries((await transpileBytes(component, { name: 'guest', outDir: 'out', instantiation: 'async' })).files)) {
    fs.mkdirSync(new URL('.', new URL(name, import.meta.url)), { recursive: true });
    fs.writeFileSync(name, content);
}
fs.writeFileSync('out/package.json', '{"type": "module"}');
let shown;
const guest = await (await import('./out/guest.js')).instantiate(
    async (name) => new WebAssembly.Module(fs.readFileSync(`out/${name}`)), { show: { default: (number) => { shown = number; } } });
guest.literal();
console.log(`the source says 3000000000, the host is shown ${shown}`);
assert.equal(shown, 3221225472);
const numbers = [1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1];
assert.deepEqual([...guest.many(Uint32Array.from(numbers))], numbers);
const seen = numbers.map((number) => ({ number, result: guest.pass(number), shown }));
console.table(seen);
assert.ok(seen.every(({ result, shown }) => result === shown));
assert.deepEqual(seen.map((line) => line.shown), [1, 2147483647, 0, 2097152, 4292870144]);
END
status=0
timeout 300 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: other numbers than in the source"
