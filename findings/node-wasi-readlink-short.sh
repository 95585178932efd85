#!/usr/bin/env bash
# Node's WASI refuses to read a symbolic link into a buffer shorter than its target.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_readlink: "Read the contents of a symbolic link. Note: This is similar to
# readlinkat in POSIX", with the result "The number of bytes placed in the buffer". POSIX's readlink puts the first bytes there
# when the buffer is too small, and returns their number. Expected: success and 3 bytes. Seen: error 42 (nobufs), and nothing
# in the buffer.
#
# Node 20.20.2's node:wasi; npm wabt 1.0.39 assembles the guest. (Wasmtime 50 truncates, as POSIX does.)
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
import fs from 'node:fs';
import wabt from 'wabt';
import { WASI } from 'node:wasi';
const text = `(module
    (import "wasi_snapshot_preview1" "path_readlink" (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_readlink" (func $path_readlink)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new WASI({ version: 'preview1', preopens: { '/': 'sandbox' } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
fs.symlinkSync('target', 'sandbox/link');
const read = (size) => {
    bytes().fill(0, 8192, 8200);
    bytes().writeUInt32LE(0, 2048);
    const error = wasi.path_readlink(3, 4096, put(4096, 'link'), 8192, size, 2048);
    return { error, used: bytes().readUInt32LE(2048), placed: bytes().toString('latin1', 8192, 8200).replace(/\0+$/, '') };
};
const large = read(8), small = read(3);
console.log('8 bytes of room:', large, '\n3 bytes of room:', small);
assert.deepEqual(large, { error: 0, used: 6, placed: 'target' });
assert.equal(small.error, 42);
assert.equal(small.placed, '');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: error 42 where POSIX truncates"
