#!/usr/bin/env bash
# @tybys/wasm-util's WASI sets a file's access time to 1970 when a guest sets only the time of its last change.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fstflags: "atim: Adjust the last data access timestamp to the value stored in
# filestat::atim"; a time whose flag is not given is left. Expected: the access time stays. Seen: 0, by descriptor and by path.
#
# npm @tybys/wasm-util 0.10.5 with Node's fs; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @tybys/wasm-util@0.10.5 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @tybys/wasm-util 0.10.5, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import wabt from 'wabt';
import { WASI } from '@tybys/wasm-util';
const text = `(module
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $fd_filestat_set_times (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_set_times" (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_filestat_set_times" (func $fd_filestat_set_times))
    (export "path_filestat_set_times" (func $path_filestat_set_times)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new WASI({ version: 'preview1', preopens: { '/': 'sandbox' }, fs });
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
const descriptor = open('a'), time = 1_600_000_000_000_000_000n;
const seen = [];
for (const set of [
    () => wasi.fd_filestat_set_times(descriptor, 0n, time, 4),
    () => wasi.path_filestat_set_times(3, 1, 4096, put(4096, 'a'), 0n, time, 4),
]) {
    fs.utimesSync('sandbox/a', 1_500_000_000, 1_500_000_000);
    assert.equal(set(), 0);
    const { atimeMs, mtimeMs } = fs.statSync('sandbox/a');
    seen.push({ accessed: atimeMs / 1000, modified: mtimeMs / 1000 });
}
console.log('accessed 1500000000 before; after setting only the other time:', seen);
for (const { accessed, modified } of seen) assert.deepEqual([accessed, modified], [0, 1_600_000_000]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the access time is lost"
