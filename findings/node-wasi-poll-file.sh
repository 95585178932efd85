#!/usr/bin/env bash
# Node's WASI fails a whole poll_oneoff when one of its subscriptions is for a regular file.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), poll_oneoff: "Concurrently poll for the occurrence of a set of events"; an
# error of one subscription goes into that event's own field ("event.error: If non-zero, an error that occurred while
# processing the subscription request"). POSIX's poll: "Regular files shall always poll TRUE for reading and writing".
# Expected: an event for the file. Seen: the call returns 63 (perm) and no event, the clock's neither; so also for standard
# output when that is sent to a file.
#
# Node 20.20.2's node:wasi on Linux; npm wabt 1.0.39 assembles the guest. (Wasmtime 50 reports the file as ready.)
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
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "poll_oneoff" (func $poll_oneoff)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new WASI({ version: 'preview1', preopens: { '/': 'sandbox' } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
const sleep = (at, userdata, nanoseconds) => { // subscription: userdata, clock = 0, monotonic = 1, timeout, precision, relative
    bytes().fill(0, at, at + 48);
    bytes().writeBigUInt64LE(userdata, at);
    bytes().writeUInt32LE(1, at + 16);
    bytes().writeBigUInt64LE(nanoseconds, at + 24);
};
fs.writeFileSync('sandbox/a', 'content');
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const descriptor = open('a');
sleep(0, 7n, 1_000_000n);
bytes().fill(0, 48, 96);
bytes().writeBigUInt64LE(9n, 48);
bytes().writeUInt8(1, 48 + 8); // fd_read
bytes().writeUInt32LE(descriptor, 48 + 16);
const poll = (at, count) => {
    bytes().writeUInt32LE(0, 2048);
    return { error: wasi.poll_oneoff(at, 512, count, 2048), events: bytes().readUInt32LE(2048) };
};
const clock = poll(0, 1), file = poll(48, 1), both = poll(0, 2);
console.log('clock:', clock, 'file:', file, 'both:', both);
assert.deepEqual(clock, { error: 0, events: 1 });
assert.deepEqual(file, { error: 63, events: 0 });
assert.deepEqual(both, { error: 63, events: 0 });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: error 63, and the clock's event is lost too"
