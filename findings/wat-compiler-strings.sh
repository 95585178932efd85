#!/usr/bin/env bash
# wat-compiler makes a zero of each letter beyond ASCII, and does not know \u{...}.
#
# WebAssembly Core Specification, text format, strings: \u{e9} is U+00E9, and every letter stands for its bytes in UTF-8. wat-
# compiler's README: "Compiles a WAT source string to a buffer". Expected: c3 a9 for the letter, written either way, and e2 82
# ac for the euro sign. Seen: one byte 00 for each letter, and the letters of the escape itself, without an error, so that the
# text that a guest writes is spoilt. Other escapes (\n, \t, \", \\ and two hexadecimal digits) are right.
#
# npm wat-compiler 1.1.1; npm wabt 1.0.39 for comparison.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wat-compiler@1.1.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wat-compiler 1.1.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import compiler from 'wat-compiler';
import wabt from 'wabt';

const compile = compiler.default ?? compiler, tool = await wabt();
const content = (binary) => {
    const { memory } = new WebAssembly.Instance(new WebAssembly.Module(binary)).exports;
    const bytes = Buffer.from(memory.buffer, 0, 16);
    return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0x2e) + 1).toString('hex'); // without the dots
};
const seen = [String.raw`a\n\t\"\\\ff`, String.raw`\u{e9}`, 'é', '€'].map((string) => {
    const text = `(module (memory (export "memory") 1) (data (i32.const 0) "................") (data (i32.const 0) "${string}"))`;
    return [string, content(tool.parseWat('module.wat', new TextEncoder().encode(text)).toBinary({}).buffer), content(compile(text))];
});
for (const [string, reference, result] of seen) console.log(string, { wabt: reference, 'wat-compiler': result });
assert.deepEqual(seen.map(([, reference]) => reference), ['610a09225cff', 'c3a9', 'c3a9', 'e282ac']);
assert.deepEqual(seen.map(([, , result]) => result), ['610a09225cff', '5c757b65397d', '00', '00']);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: other bytes than the strings have"
