#!/usr/bin/env bash
# The browser WASI shim's poll_oneoff succeeds without storing the number of events.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), poll_oneoff: result "nevents: The number of events stored". Expected: 1 after a
# sleep of a millisecond. Seen: error 0 and the event is stored, but the number is left as it was in the guest's memory.
#
# The package's README: a part of WASI "throws an exception, returns an error or is incorrectly implemented"; which, it does
# not say.
#
# npm @bjorn3/browser_wasi_shim 0.4.2; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bjorn3/browser_wasi_shim@0.4.2 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @bjorn3/browser_wasi_shim 0.4.2, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';
import { WASI, File, OpenFile, Directory, PreopenDirectory } from '@bjorn3/browser_wasi_shim';
const text = `(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "poll_oneoff" (func $poll_oneoff)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
const std = () => new OpenFile(new File([]));
const root = new PreopenDirectory('/', new Map([
    ['a', new File(Buffer.from('content of a'))],
    ['b', new File(Buffer.from('content of b'))],
    ['folder', new Directory(new Map())],
]));
const host = new WASI(['program', 'é'], [], [std(), std(), std(), root]);
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const sleep = (at, userdata, nanoseconds) => { // subscription: userdata, clock = 0, monotonic = 1, timeout, precision, relative
    bytes().fill(0, at, at + 48);
    bytes().writeBigUInt64LE(userdata, at);
    bytes().writeUInt32LE(1, at + 16);
    bytes().writeBigUInt64LE(nanoseconds, at + 24);
};
sleep(0, 7n, 1_000_000n);
bytes().writeUInt32LE(0x5555, 2048);
const error = wasi.poll_oneoff(0, 512, 1, 2048);
const events = bytes().readUInt32LE(2048), userdata = bytes().readBigUInt64LE(512);
console.log(`error ${error}, userdata of the event ${userdata}, number of events 0x${events.toString(16)} (0x5555 was there before)`);
assert.equal(error, 0);
assert.equal(userdata, 7n);
assert.equal(events, 0x5555);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the number of events is not stored"
