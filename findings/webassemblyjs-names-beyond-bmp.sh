#!/usr/bin/env bash
# @webassemblyjs refuses modules with an emoji in a name, and writes invalid ones when it puts one there.
#
# WebAssembly Core Specification, binary format, names: a name is UTF-8, four bytes for a letter above U+FFFF. Expected: a
# module whose export is U+1F600 is decoded, and an export that is renamed to it is valid. Seen: "invalid UTF-8 encoding" for
# f0 9f 98 80; and the two halves of UTF-16 as three bytes each (ed a0 bd ed b8 80), which Node refuses as no UTF-8.
#
# npm @webassemblyjs/wasm-parser and wasm-edit 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-parser@1.14.1 @webassemblyjs/wasm-edit@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-parser 1.14.1, @webassemblyjs/wasm-edit 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { decode } from '@webassemblyjs/wasm-parser';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
import edit from '@webassemblyjs/wasm-edit';
const binary = assemble('(module (func (export "\\f0\\9f\\98\\80")))');
console.log('Node:', WebAssembly.Module.exports(new WebAssembly.Module(binary)));
assert.throws(() => decode(binary), /invalid UTF-8 encoding/);
console.log('@webassemblyjs/wasm-parser refuses that');
const plain = new Uint8Array(assemble('(module (func (export "f")))'));
const renamed = edit.edit(plain.buffer, { ModuleExport({ node }) { node.name = '\u{1f600}'; } });
console.log('renamed by @webassemblyjs/wasm-edit:', Buffer.from(renamed).toString('hex'));
assert.ok(Buffer.from(renamed).includes(Buffer.from('eda0bdedb880', 'hex')));
assert.equal(WebAssembly.validate(plain), true);
assert.equal(WebAssembly.validate(renamed), false);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: neither read nor written as UTF-8"
