#!/usr/bin/env bash
# Node's WASI tells a guest the host's open flags where WASI's own belong.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_fdstat_get, fdstat.fs_flags: "fdflags" has five bits: append 1, dsync 2,
# nonblock 4, rsync 8, sync 16. Expected: 0 for a file opened for reading and writing without flags, and 1 after
# fd_fdstat_set_flags(append). Seen: Linux's own word as fcntl(F_GETFL) gives it (O_RDWR is 2, so every file reads as dsync;
# O_APPEND is 0x400, so append cannot be seen; and bits that WASI does not have).
#
# Node 20.20.2's node:wasi on Linux x86-64; npm wabt 1.0.39 assembles the guest.
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
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $fd_fdstat_set_flags (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_fdstat_get" (func $fd_fdstat_get))
    (export "fd_fdstat_set_flags" (func $fd_fdstat_set_flags)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new WASI({ version: 'preview1', preopens: { '/': 'sandbox' } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
fs.writeFileSync('sandbox/a', 'content');
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const flags = (descriptor) => {
    assert.equal(wasi.fd_fdstat_get(descriptor, 3072), 0);
    return bytes().readUInt16LE(3072 + 2);
};
const descriptor = open('a');
const plain = flags(descriptor);
assert.equal(wasi.fd_fdstat_set_flags(descriptor, 1), 0);
const appending = flags(descriptor);
console.log(`fs_flags of a file opened without flags: 0x${plain.toString(16)}; after setting append: 0x${appending.toString(16)}`);
assert.equal(plain & 0x1f, 2, 'dsync is no longer claimed');
assert.equal(appending & 1, 0, 'append is now seen');
assert.equal(appending & 0x400, 0x400);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the flags are the host's, not WASI's"
