#!/usr/bin/env bash
# The browser WASI shim closes a descriptor that is renumbered to itself.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_renumber: "Atomically replace a file descriptor by renumbering another file
# descriptor": like POSIX's dup2, which does nothing when both are the same. Expected: the descriptor goes on to work. Seen:
# success, and then error 8 (badf).
#
# The package's README: a part of WASI "throws an exception, returns an error or is incorrectly implemented"; which, it does
# not say.
#
# npm @bjorn3/browser_wasi_shim 0.4.2; npm wabt 1.0.39 assembles the guest. (Wasmtime 50 and Node 20's node:wasi keep the
# descriptor.)
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
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "fd_renumber" (func $fd_renumber))
    (export "fd_tell" (func $fd_tell)))`;
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
const put = (at, string) => bytes().write(string, at); // its length
const open = (name, flags = 0, descriptorFlags = 0, lookup = 0) => {
    assert.equal(wasi.path_open(3, lookup, 4096, put(4096, name), flags, 0xfffffffn, 0xfffffffn, descriptorFlags, 2048), 0);
    return bytes().readUInt32LE(2048);
};
const descriptor = open('a');
const before = wasi.fd_tell(descriptor, 3072), renumbered = wasi.fd_renumber(descriptor, descriptor), after = wasi.fd_tell(descriptor, 3072);
console.log(`fd_tell: ${before}; fd_renumber(${descriptor}, ${descriptor}): ${renumbered}; fd_tell: ${after}`);
assert.deepEqual([before, renumbered, after], [0, 0, 8]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the descriptor is gone"
