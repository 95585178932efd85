#!/usr/bin/env bash
# @tybys/wasm-util's WASI cannot open a file through a symbolic link when asked to follow it, and can when not asked.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), lookupflags: "symlink_follow: As long as the resolved path corresponds to a
# symbolic link, it is expanded". Expected: success with the flag. Seen: error 44 (noent), for a relative link to a file beside
# it; path_filestat_get with the flag finds the file.
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
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "path_filestat_get" (func $path_filestat_get)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
fs.mkdirSync('sandbox');
const host = new WASI({ version: 'preview1', preopens: { '/': 'sandbox' }, fs });
const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
host.initialize(instance);
const { memory, ...wasi } = instance.exports;
const bytes = () => Buffer.from(memory.buffer);
const put = (at, string) => bytes().write(string, at); // its length
fs.writeFileSync('sandbox/a', 'content');
fs.symlinkSync('a', 'sandbox/link');
const length = put(4096, 'link');
const followed = wasi.path_open(3, 1, 4096, length, 0, 2n, 0n, 0, 2048), plain = wasi.path_open(3, 0, 4096, length, 0, 2n, 0n, 0, 2048);
const status = wasi.path_filestat_get(3, 1, 4096, length, 3072);
console.log(`path_open with symlink_follow: ${followed}; without: ${plain}; path_filestat_get with it: ${status}`);
assert.equal(followed, 44);
assert.equal(plain, 0);
assert.equal(status, 0);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: noent through the link"
