#!/usr/bin/env bash
# @runno/wasi's path_unlink_file removes a folder with all that is in it.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_unlink_file: "Unlink a file. Return errno::isdir if the path refers to a
# directory." Expected: 31 (isdir), and the files stay. Seen: 0, and both files of the folder are gone.
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
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_unlink_file" (func $path_unlink_file))
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
const there = (name) => wasi.path_filestat_get(3, 0, 4096, put(4096, name), 3072) === 0;
const names = ['a', 'folder/b', 'folder/c'];
const before = names.filter(there), error = wasi.path_unlink_file(3, 4096, put(4096, 'folder')), after = names.filter(there);
console.log('before:', before, 'path_unlink_file(folder):', error, 'after:', after);
assert.deepEqual(before, names);
assert.equal(error, 0);
assert.deepEqual(after, ['a']);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: a whole folder is lost"
