#!/usr/bin/env bash
# wasi-js's poll_oneoff waits for the longest of its clocks.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), poll_oneoff: "Concurrently poll for the occurrence of a set of events": it
# returns once one has occurred. Expected: back after the shorter of two timeouts, 1 ms. Seen: back after the longer one, 400
# ms; so a wait with a time limit is no shorter than the longest.
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
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "poll_oneoff" (func $poll_oneoff)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new wasijs.default({ preopens: { '/': 'sandbox' }, bindings: { ...nodeBindings.default, fs } });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.setMemory(instance.exports.memory);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const sleep = (at, userdata, nanoseconds) => { // subscription: userdata, clock = 0, monotonic = 1, timeout, precision, relative
    bytes().fill(0, at, at + 48);
    bytes().writeBigUInt64LE(userdata, at);
    bytes().writeUInt32LE(1, at + 16);
    bytes().writeBigUInt64LE(nanoseconds, at + 24);
};
sleep(0, 7n, 400_000_000n);
sleep(48, 8n, 1_000_000n);
const start = performance.now();
const error = wasi.poll_oneoff(0, 512, 2, 2048);
const milliseconds = Math.round(performance.now() - start);
console.log(`error ${error}, events ${bytes().readUInt32LE(2048)}, after ${milliseconds >= 390 ? 'at least 390' : milliseconds} ms`);
assert.equal(error, 0);
assert.equal(bytes().readUInt32LE(2048), 2);
assert.ok(milliseconds >= 390);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the short timeout does not end the wait"
