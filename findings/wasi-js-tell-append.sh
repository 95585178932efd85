#!/usr/bin/env bash
# wasi-js tells offset 0 after appending to a file.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_tell: "Return the current offset of a file descriptor. Note: This is similar
# to lseek(fd, 0, SEEK_CUR) in POSIX"; fdflags.append: "Data written to the file is always appended to the file's end"; POSIX's
# write sets the offset to the end before and moves it on. Expected: 14 after three bytes more than eleven. Seen: 0.
#
# npm wasi-js 1.7.3 with its Node bindings; npm wabt 1.0.39 assembles the guest. (Wasmtime 50 and Node 20's node:wasi tell 14.)
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
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_write" (func $fd_write))
    (export "fd_tell" (func $fd_tell)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new wasijs.default({ preopens: { '/': 'sandbox' }, bindings: { ...nodeBindings.default, fs } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.setMemory(instance.exports.memory);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
const buffers = (at, ...list) => list.flat().forEach((word, i) => bytes().writeUInt32LE(word, at + 4 * i));
fs.writeFileSync('sandbox/a', 'hello world');
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const descriptor = open('a', 0, 1);
buffers(512, [8192, put(8192, 'end')]);
assert.equal(wasi.fd_write(descriptor, 512, 1, 2048), 0);
assert.equal(wasi.fd_tell(descriptor, 3072), 0);
const offset = bytes().readBigUInt64LE(3072), content = fs.readFileSync('sandbox/a', 'utf8');
console.log(`content: ${content}; offset: ${offset}`);
assert.equal(content, 'hello worldend');
assert.equal(offset, 0n);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the offset stays 0"
