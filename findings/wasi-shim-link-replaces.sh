#!/usr/bin/env bash
# The browser WASI shim's path_link replaces a file that is there.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_link: "Create a hard link. Note: This is similar to linkat in POSIX",
# which fails with EEXIST (WASI's 20, exist) if the new path exists. Expected: 20, and the file b as it was. Seen: 0, and what
# b held is lost.
#
# The package's README: a part of WASI "throws an exception, returns an error or is incorrectly implemented"; which, it does
# not say.
#
# npm @bjorn3/browser_wasi_shim 0.4.2; npm wabt 1.0.39 assembles the guest. (Wasmtime 50 and Node 20's node:wasi give 20.)
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
    (import "wasi_snapshot_preview1" "path_link" (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_link" (func $path_link)))`;
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
const content = () => Buffer.from(root.dir.contents.get('b').data).toString();
const before = content();
const error = wasi.path_link(3, 0, 4096, put(4096, 'a'), 3, 5120, put(5120, 'b'));
console.log(`b: ${before}; path_link(a, b): ${error}; b: ${content()}`);
assert.equal(before, 'content of b');
assert.equal(error, 0);
assert.equal(content(), 'content of a');
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the older file is lost, with success"
