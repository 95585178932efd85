#!/usr/bin/env bash
# @webassemblyjs prints a memory of at least one page as one of none to one.
#
# WebAssembly Core Specification, text format: "(memory 1)" has the minimum 1, "(memory 0 1)" the minimum 0 and the maximum 1.
# Expected: what is printed means what was decoded. Seen: the memory's index is printed as the first number, so that the limits
# move on by one; a memory with a maximum gets three numbers.
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
const text = printed('(module (memory (export "memory") 1) (data (i32.const 0) "x"))');
console.log(text);
assert.match(text, /\(memory 0 1\)/);
const limited = printed('(module (memory 2 3))');
console.log(limited);
assert.match(limited, /\(memory 0 2 3\)/);
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble('(module (memory (export "memory") 0 1))')));
console.log(`bytes of a (memory 0 1): ${exports.memory.buffer.byteLength}`);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the index is taken for the minimum"
