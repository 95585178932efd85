#!/usr/bin/env bash
# @wasmer/wasi's files in memory insert what is written in their middle, instead of overwriting.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_write: "Write to a file descriptor. Note: This is similar to writev in
# POSIX": bytes at the offset are replaced. Expected: three bytes written at 0 over "hello world" give "XYZlo world". Seen:
# "XYZhello world".
#
# npm @wasmer/wasi 1.2.2, its MemFS; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @wasmer/wasi@1.2.2 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @wasmer/wasi 1.2.2, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import wabt from 'wabt';
import { init, MemFS, WASI } from '@wasmer/wasi';
const text = `(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_write" (func $fd_write))
    (export "fd_seek" (func $fd_seek))
    (export "fd_read" (func $fd_read)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
await init();
const files = new MemFS();
files.open('/a', { read: true, write: true, create: true }).writeString('hello world');
const host = new WASI({ args: ['program'], env: {}, preopens: { '/': '/' }, fs: files });
const instance = host.instantiate(guest, {});
const root = 4; // its folder 3 is its own
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
const buffers = (at, ...list) => list.flat().forEach((word, i) => bytes().writeUInt32LE(word, at + 4 * i));
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(root, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const content = (descriptor) => {
    assert.equal(wasi.fd_seek(descriptor, 0n, 0, 3072), 0);
    buffers(512, [16384, 64]);
    assert.equal(wasi.fd_read(descriptor, 512, 1, 2048), 0);
    return bytes().toString('latin1', 16384, 16384 + bytes().readUInt32LE(2048));
};
const descriptor = open('a');
buffers(512, [8192, put(8192, 'XYZ')]);
const error = wasi.fd_write(descriptor, 512, 1, 2048);
const written = bytes().readUInt32LE(2048), string = content(descriptor);
console.log(`error ${error}, written ${written}, content: ${string}`);
assert.equal(error, 0);
assert.equal(string, 'XYZhello world');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: inserted, not overwritten"
