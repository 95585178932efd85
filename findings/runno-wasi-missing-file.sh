#!/usr/bin/env bash
# @runno/wasi has no "no such file": a path that is not there is "not capable".
#
# WASI preview 1 (wasi_snapshot_preview1.witx), errno: "noent: No such file or directory", "notcapable: Extension: Capabilities
# insufficient". path_open is "similar to openat in POSIX": ENOENT. Expected: 44 (noent), by which programs tell a file to be
# made from one that is forbidden. Seen: 76 (notcapable), from path_filestat_get too, and also for "./a", which is there.
#
# npm @runno/wasi 0.10.0; npm wabt 1.0.39 assembles the guest.
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
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_open" (func $path_open))
    (export "path_filestat_get" (func $path_filestat_get)))`;
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
const results = {};
for (const name of ['a', 'missing', './a']) {
    const length = put(4096, name);
    results[name] = [wasi.path_open(3, 0, 4096, length, 0, 2n, 0n, 0, 2048), wasi.path_filestat_get(3, 0, 4096, length, 3072)];
}
console.log('path_open and path_filestat_get:', results);
assert.deepEqual(results, { a: [0, 0], missing: [76, 76], './a': [76, 76] });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: 76 for what is not there, and for ./a"
