#!/usr/bin/env bash
# @webassemblyjs prints a name with a quotation mark as it is.
#
# WebAssembly Core Specification, text format, strings: inside a string a quotation mark is written \" or \22, a backslash \\.
# Expected: a name that reads back. Seen: both as they are, so that a quotation mark ends the name, and a backslash begins an
# escape: the name a\41 is printed so that it reads as aA.
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
const name = (text) => text.match(/\(export "(.*)" \(func/)[1];
const quoted = name(printed('(module (func (export "a\\22b")))')), escaped = name(printed('(module (func (export "a\\5c41")))'));
console.log(`a"b is printed as "${quoted}", a\\41 as "${escaped}"`);
assert.equal(quoted, 'a"b');
assert.equal(escaped, 'a\\41');
const [read] = WebAssembly.Module.exports(new WebAssembly.Module(assemble(`(module (func (export "${escaped}")))`)));
console.log(`the latter reads as ${read.name}`);
assert.equal(read.name, 'aA');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: names change or break the text"
