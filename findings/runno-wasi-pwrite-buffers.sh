#!/usr/bin/env bash
# @runno/wasi writes every buffer of an fd_pwrite to the same place.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_pwrite: "Write to a file descriptor, without using and updating the file
# descriptor's offset. Note: This is similar to pwritev", which writes the buffers one after the other. Expected: "abcdef" and
# 6 written. Seen: 6 written, and "def": the second buffer lies over the first.
#
# npm @runno/wasi 0.10.0; npm wabt 1.0.39 assembles the guest. (Wasmtime 50, Node 20's node:wasi and three other hosts in
# JavaScript do it right.)
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @runno/wasi@0.10.0 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @runno/wasi 0.10.0, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import wabt from 'wabt';
import { WASI } from '@runno/wasi';
const text = `(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_pwrite" (func $fd_pwrite))
    (export "fd_read" (func $fd_read)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
const now = new Date();
const files = Object.fromEntries(['/a', '/folder/b', '/folder/c'].map((path) => [path, {
    path, mode: 'string', content: `content of ${path}`, timestamps: { access: now, change: now, modification: now },
}]));
const host = new WASI({ args: ['program'], env: {}, stdin: () => null, stdout: () => {}, stderr: () => {}, fs: files });
const instance = new WebAssembly.Instance(guest, host.getImportObject());
host.instance = instance;
host.module = guest;
host.memory = instance.exports.memory;
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
const buffers = (at, ...list) => list.flat().forEach((word, i) => bytes().writeUInt32LE(word, at + 4 * i));
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const descriptor = open('new', 1);
put(8192, 'abcdef');
buffers(512, [8192, 3], [8195, 3]);
const error = wasi.fd_pwrite(descriptor, 512, 2, 0n, 2048), written = bytes().readUInt32LE(2048);
buffers(512, [16384, 64]);
assert.equal(wasi.fd_read(descriptor, 512, 1, 2048), 0);
const content = bytes().toString('latin1', 16384, 16384 + bytes().readUInt32LE(2048));
console.log({ error, written, content });
assert.deepEqual({ error, written, content }, { error: 0, written: 6, content: 'def' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: half of what was written is lost, with success"
