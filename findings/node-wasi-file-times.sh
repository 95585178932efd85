#!/usr/bin/env bash
# Node's WASI drops what is below the second of the times that a guest sets on a file.
#
# WASI preview 1 (wasi_snapshot_preview1.witx): "timestamp: Timestamp in nanoseconds"; fd_filestat_set_times and
# path_filestat_set_times set a file's times to the given timestamps. Expected: the time given, as far as the host's files can
# keep it (shown with Node's own fs.utimesSync on the same file). Seen: success, and whole seconds.
#
# Node 20.20.2's node:wasi; npm wabt 1.0.39 assembles the guest.
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
    (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $fd_filestat_set_times (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_set_times" (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_filestat_set_times" (func $fd_filestat_set_times))
    (export "path_filestat_set_times" (func $path_filestat_set_times))
    (export "fd_filestat_get" (func $fd_filestat_get)))`;
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
const seconds = 1_700_000_000n, time = seconds * 1_000_000_000n + 750_000_000n;
const modified = () => fs.statSync('sandbox/a', { bigint: true }).mtimeNs;
fs.utimesSync('sandbox/a', 1_700_000_000.75, 1_700_000_000.75);
if (modified() !== time) process.exit(2); // the file system keeps no parts of a second
const descriptor = open('a');
assert.equal(wasi.fd_filestat_set_times(descriptor, time, time, 1 | 4), 0);
const byDescriptor = modified();
fs.utimesSync('sandbox/a', 5, 5);
assert.equal(wasi.path_filestat_set_times(3, 1, 4096, put(4096, 'a'), time, time, 1 | 4), 0);
const byPath = modified();
console.log(`asked ${time}; by descriptor ${byDescriptor}, by path ${byPath}`);
assert.equal(byDescriptor, seconds * 1_000_000_000n);
assert.equal(byPath, seconds * 1_000_000_000n);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status != 2)) || cannot "the file system keeps no parts of a second"
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: three quarters of a second are lost, with success"
