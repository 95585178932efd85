#!/usr/bin/env bash
# @webassemblyjs writes each i64 constant as 0.
#
# @webassemblyjs/wasm-edit's README: "Replace in-place an AST node in the binary" (edit) and add(binary, nodes). Expected: a
# global made with the literal of its own AST for 5 holds 5n, and so does a constant put in the place of another. Seen: 0n,
# without an error; i32 is right.
#
# npm @webassemblyjs/wasm-edit and @webassemblyjs/ast 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-edit@1.14.1 @webassemblyjs/ast@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-edit 1.14.1, @webassemblyjs/ast 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
import edit from '@webassemblyjs/wasm-edit';
import ast from '@webassemblyjs/ast';
const constant = (type) => ast.objectInstruction('const', type, [ast.numberLiteralFromRaw('5', type)]);
const seen = {};
for (const type of ['i32', 'i64']) {
    const binary = new Uint8Array(assemble(`(module (func (export "f") (result ${type}) (${type}.const 1)))`));
    const global = ast.global(ast.globalType(type, 'const'), [constant(type), ast.instruction('end')]);
    const added = edit.add(edit.add(binary.buffer, [global]), [ast.moduleExport('g', ast.moduleExportDescr('Global', ast.indexLiteral(0)))]);
    const replaced = edit.edit(binary.buffer, { Instr(path) { if (path.node.id === 'const') path.replaceWith(constant(type)); } });
    const exports = (bytes) => new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    seen[type] = [exports(added).g.value, exports(replaced).f()];
}
console.log('5 as a global and in a function:', seen);
assert.deepEqual(seen, { i32: [5, 5], i64: [0n, 0n] });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: 5 becomes 0"
