#!/usr/bin/env bash
# wasi-js reads wrong bytes into the second buffer of an fd_pread.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_pread: "Read from a file descriptor, without using and updating the file
# descriptor's offset. Note: This is similar to preadv", which fills the buffers one after the other from one run of the file.
# Expected: "abc" and "def", 6 bytes. Seen: "abc" and "ghi", 12 bytes.
#
# npm wasi-js 1.7.3 with its Node bindings; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasi-js@1.7.3 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasi-js 1.7.3, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import wabt from 'wabt';
import wasijs from 'wasi-js';
import nodeBindings from 'wasi-js/dist/bindings/node.js';
const text = `(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_pread" (func $fd_pread)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new wasijs.default({ preopens: { '/': 'sandbox' }, bindings: { ...nodeBindings.default, fs } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.setMemory(instance.exports.memory);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
const buffers = (at, ...list) => list.flat().forEach((word, i) => bytes().writeUInt32LE(word, at + 4 * i));
fs.writeFileSync('sandbox/a', 'abcdefghijklmnopqrstuvwxyz');
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const descriptor = open('a');
buffers(512, [8192, 3], [8448, 3]);
const error = wasi.fd_pread(descriptor, 512, 2, 0n, 2048);
const read = bytes().readUInt32LE(2048), first = bytes().toString('latin1', 8192, 8195), second = bytes().toString('latin1', 8448, 8451);
console.log({ error, read, first, second });
assert.equal(error, 0);
assert.equal(first, 'abc');
assert.notEqual(second, 'def');
assert.notEqual(read, 6);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: wrong bytes and a wrong count, with success"
