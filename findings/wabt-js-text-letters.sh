#!/usr/bin/env bash
# wabt.js assembles other names than the text has, when the text is a string with letters beyond Latin.
#
# wabt.js's README: parseWat(filename: string, buffer: string | Uint8Array). WebAssembly Core Specification, text format,
# lexical format: source text is Unicode, and names are its UTF-8. Expected: an export named š (U+0161). Seen: an export named
# a (0x61): each letter is cut to its lowest eight bits; and é (0xe9) is refused as no UTF-8. The same text as UTF-8 bytes is
# assembled right.
#
# npm wabt 1.0.39.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';

const tool = await wabt();
const text = (name) => `(module (func (export "${name}")))`;
const names = (source) => WebAssembly.Module.exports(new WebAssembly.Module(tool.parseWat('module.wat', source).toBinary({}).buffer)).map(({ name }) => name);
const fromString = names(text('š')), fromBytes = names(new TextEncoder().encode(text('š')));
console.log('š in a string:', fromString, 'in bytes:', fromBytes);
assert.deepEqual(fromString, ['a']);
assert.deepEqual(fromBytes, ['š']);
assert.throws(() => names(text('é')), /invalid utf-8/);
console.log('é in a string is refused');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: another name, without a word"
