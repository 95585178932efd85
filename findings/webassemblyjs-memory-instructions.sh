#!/usr/bin/env bash
# @webassemblyjs prints instructions that do not exist for 64-bit loads and stores, and without their alignment.
#
# WebAssembly Core Specification, text format, memory instructions: "i64.load16_s offset=4 align=1"; an alignment that is not
# printed is the natural one. Expected: the same instruction, with align=1. Seen: "u64.load16_s offset=4", and "u64.store32
# offset=4", which no assembler takes.
#
# npm @webassemblyjs/wasm-parser 1.14.1 and @webassemblyjs/wast-printer 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-parser@1.14.1 @webassemblyjs/wast-printer@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-parser 1.14.1, @webassemblyjs/wast-printer 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { decode } from '@webassemblyjs/wasm-parser';
import { print } from '@webassemblyjs/wast-printer';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
const printed = (text) => print(decode(assemble(text)));
const text = printed(`(module (memory 1)
    (func (result i64) (i64.load16_s offset=4 align=1 (i32.const 0)))
    (func (i64.store32 offset=4 align=1 (i32.const 0) (i64.const 1))))`);
const instructions = text.match(/\(\w+\.(load|store)[^)]*\)/g);
console.log(instructions);
assert.deepEqual(instructions, ['(u64.load16_s offset=4)', '(u64.store32 offset=4)']);
assert.throws(() => assemble('(module (memory 1) (func (drop (u64.load16_s offset=4 (i32.const 0)))))'));
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: u64.load16_s, without its alignment"
