#!/usr/bin/env bash
# wasmparser's disassembler prints a select with a type as text that is none.
#
# WebAssembly Core Specification (2.0), text format, parametric instructions: "select (result t)". Expected: select (result
# i32). Seen: "select i32", which no assembler takes.
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
const text = disassemble('(module (func (result i32) (select (result i32) (i32.const 1) (i32.const 2) (i32.const 0))))');
console.log(text);
assert.match(text, /select i32\s/);
assert.throws(() => assemble(text), /unexpected token i32/);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: select i32 is no instruction"
