#!/usr/bin/env bash
# @webassemblyjs prints an imported memory as nothing.
#
# WebAssembly Core Specification, text format, imports: an import has a description, such as "(memory 1 2)". Expected: (import
# "a" "b" (memory 1 2)). Seen: (import "a" "b" ), which is no import, and is refused by every reader, the family's own too.
#
# npm @webassemblyjs/wasm-parser, wast-printer and wast-parser 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-parser@1.14.1 @webassemblyjs/wast-printer@1.14.1 @webassemblyjs/wast-parser@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-parser 1.14.1, @webassemblyjs/wast-printer 1.14.1, @webassemblyjs/wast-parser 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { decode } from '@webassemblyjs/wasm-parser';
import { print } from '@webassemblyjs/wast-printer';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
const printed = (text) => print(decode(assemble(text)));
import { parse } from '@webassemblyjs/wast-parser';
const text = printed('(module (import "a" "b" (memory 1 2)))');
console.log(text);
assert.match(text, /\(import "a" "b" *\)/);
assert.throws(() => parse(text));
console.log('@webassemblyjs/wast-parser refuses that');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the description is lost"
