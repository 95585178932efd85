#!/usr/bin/env bash
# watr's polyfill of memory.copy spoils regions that overlap.
#
# WebAssembly Core Specification, execution, memory.copy: copies backwards where the target lies behind the source, so that
# regions may overlap (as C's memmove). watr's README: polyfill makes "newer features -> MVP" of a program, so the same program.
# Expected: "abcdef" moved by one is "aabcdef", and one byte put in at the start of a list leaves the others. Seen: "aaaaaaa":
# every byte is the first. Moved to the front it is right.
#
# npm watr 5.0.0.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps watr@5.0.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), watr 5.0.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { compile } from 'watr';
import polyfill from 'watr/polyfill';

const source = `(module
    (memory (export "memory") 1)
    (data (i32.const 0) "abcdef")
    (data (i32.const 100) "abcdef")
    (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))`;
const seen = (text) => {
    const { memory, copy } = new WebAssembly.Instance(new WebAssembly.Module(compile(text))).exports;
    copy(1, 0, 6);
    copy(99, 100, 6);
    const string = (at) => Buffer.from(memory.buffer, at, 7).toString();
    return { back: string(0), front: string(99) };
};
const before = seen(source), after = seen(polyfill(source));
console.log({ before, after });
assert.deepEqual(before, { back: 'aabcdef', front: 'abcdeff' });
assert.deepEqual(after, { back: 'aaaaaaa', front: 'abcdeff' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the copy is spoilt"
