#!/usr/bin/env bash
# wasmparser's disassembler drops the table of a call_indirect.
#
# WebAssembly Core Specification (2.0), text format, control instructions: "call_indirect x typeuse"; without x, the table 0 is
# meant. Expected: a call through table 1 names that table. Seen: "call_indirect" alone, so that the printed module calls
# through table 0: another function.
#
# npm wasmparser 5.11.1, its WasmDisassembler; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasmparser@5.11.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasmparser 5.11.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import parser from 'wasmparser/dist/cjs/WasmParser.js';
import disassembler from 'wasmparser/dist/cjs/WasmDis.js';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => new Uint8Array(tool.parseWat('module.wat', text).toBinary({}).buffer);
const disassemble = (text) => {
    const binary = assemble(text), reader = new parser.BinaryReader();
    assert.ok(WebAssembly.validate(binary));
    reader.setData(binary.buffer, 0, binary.length);
    return new disassembler.WasmDisassembler().disassemble(reader);
};
const original = `(module (table 1 funcref) (table 1 funcref)
    (elem (table 0) (i32.const 0) func $zero) (elem (table 1) (i32.const 0) func $one)
    (func $zero (result i32) (i32.const 0)) (func $one (result i32) (i32.const 1))
    (func (export "f") (result i32) (call_indirect 1 (result i32) (i32.const 0))))`;
const text = disassemble(original);
console.log(text);
assert.match(text, /call_indirect \(result i32\)/);
const call = (source) => new WebAssembly.Instance(new WebAssembly.Module(assemble(source))).exports.f();
const results = [call(original), call(text)];
console.log('f() of the original and of the printed module:', results);
assert.deepEqual(results, [1, 0]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the printed module gives another result"
