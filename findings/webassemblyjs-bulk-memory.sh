#!/usr/bin/env bash
# @webassemblyjs finds "unreachable" instructions after a memory.copy.
#
# WebAssembly Core Specification, binary format, memory instructions: memory.copy is 0xFC 10 with two memory indices (0x00
# 0x00), memory.fill 0xFC 11 with one. Expected: the indices belong to the instruction. Seen: each is decoded as an instruction
# of its own, 0x00 "unreachable", so that the code as shown always traps.
#
# npm @webassemblyjs/wasm-parser 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-parser@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-parser 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { decode } from '@webassemblyjs/wasm-parser';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
const binary = assemble(`(module (memory (export "memory") 1)
    (func (export "run") (memory.copy (i32.const 0) (i32.const 1) (i32.const 3)) (memory.fill (i32.const 0) (i32.const 1) (i32.const 3))))`);
new WebAssembly.Instance(new WebAssembly.Module(binary)).exports.run();
console.log('run by Node: no trap');
const code = decode(binary).body[0].fields.find((field) => field.type === 'Func').body.map((instruction) => instruction.id);
console.log('decoded:', code.join(' '));
assert.equal(code.filter((id) => id === 'unreachable').length, 3);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: three instructions that are not there"
