#!/usr/bin/env bash
# wasmparser's disassembler prints an offset of 2 GiB and more as a negative number, where an alignment follows.
#
# WebAssembly Core Specification, text format, memory instructions: "offset=u32". Expected: offset=4294967295 align=1. Seen:
# offset=-1 align=1, which no assembler takes.
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
const text = disassemble('(module (memory 1) (func (drop (i32.load offset=4294967295 align=1 (i32.const 0))) (drop (i32.load offset=2147483648 (i32.const 0)))))');
console.log(text);
assert.deepEqual(text.match(/offset=-?\d+/g), ['offset=-1', 'offset=2147483648']);
assert.throws(() => assemble(text), /unexpected token offset=-1/);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: offset=-1 is no offset"
