#!/usr/bin/env bash
# The browser WASI shim tells a guest too small a size for arguments that are not ASCII.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), args_sizes_get: "Returns the number of arguments and the size of the argument
# string data". Expected: the number of bytes that args_get then writes. Seen: the number of UTF-16 units of the strings (with
# one zero each), while args_get writes UTF-8. Environment variables are counted right.
#
# The package's README: a part of WASI "throws an exception, returns an error or is incorrectly implemented"; which, it does
# not say.
#
# npm @bjorn3/browser_wasi_shim 0.4.2; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bjorn3/browser_wasi_shim@0.4.2 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @bjorn3/browser_wasi_shim 0.4.2, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';
import { WASI, File, OpenFile, Directory, PreopenDirectory } from '@bjorn3/browser_wasi_shim';
const text = `(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "args_sizes_get" (func $args_sizes_get))
    (export "args_get" (func $args_get)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
const std = () => new OpenFile(new File([]));
const root = new PreopenDirectory('/', new Map([
    ['a', new File(Buffer.from('content of a'))],
    ['b', new File(Buffer.from('content of b'))],
    ['folder', new Directory(new Map())],
]));
const host = new WASI(['program', 'é'], [], [std(), std(), std(), root]);
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
assert.equal(wasi.args_sizes_get(0, 4), 0);
const size = bytes().readUInt32LE(4);
bytes().fill(0xaa, 1024, 1088);
assert.equal(wasi.args_get(512, 1024), 0);
const written = bytes().indexOf(0xaa, 1024) - 1024;
console.log(`arguments: program, é; size told: ${size}; bytes written: ${written}`);
assert.equal(written, Buffer.byteLength('program\0é\0'));
assert.equal(size, written - 1);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the size is one too small for each letter of two bytes"
