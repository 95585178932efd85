#!/usr/bin/env bash
# wasmparser's disassembler prints another NaN than the f32 constant has.
#
# WebAssembly Core Specification, text format, floating-point values: "nan:0xN" is the NaN with the payload N, whichever of its
# bits are set. Expected: nan:0x1. Seen: +nan:0x400001: the constant was read as a JavaScript number, which sets the highest
# bit. An f64's payload is kept.
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
const constant = (type, literal) => disassemble(`(module (func (result ${type}) (${type}.const ${literal})))`).match(/const (\S+)/)[1];
const seen = { f32: constant('f32', 'nan:0x1'), f64: constant('f64', 'nan:0x1') };
console.log('nan:0x1 is printed as', seen);
assert.equal(Number(seen.f32.split(':')[1]), 0x400001);
assert.equal(Number(seen.f64.split(':')[1]), 1);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the payload of an f32's NaN is another"
