#!/usr/bin/env bash
# A folder that a guest renames to the name of a full one replaces it and all that is in it, when its host's files are memfs.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_rename: "Rename a file or directory. Note: This is similar to renameat in
# POSIX", which replaces an empty folder only, and no file by a folder. memfs: "In-memory file-system with Node's fs API".
# Expected: an error, 55 (notempty), and the old content, as with Node's own fs. Seen: 0, and the old content is gone; so also
# 0 for a file to the name of a folder (31, isdir) and for a folder to that of a file (54, notdir).
#
# npm memfs 4.80.1 as the fs of @tybys/wasm-util 0.10.5, which takes either; npm wabt 1.0.39 assembles the guest.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps memfs@4.80.1 @tybys/wasm-util@0.10.5 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), memfs 4.80.1, @tybys/wasm-util 0.10.5, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import nodeFs from 'node:fs';
import { createFsFromVolume, Volume } from 'memfs';
import wabt from 'wabt';
import { WASI } from '@tybys/wasm-util';

const text = `(module
    (import "wasi_snapshot_preview1" "path_rename" (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_rename" (func $path_rename)))`;
const guest = new WebAssembly.Module((await wabt()).parseWat('guest.wat', text).toBinary({}).buffer);
const start = (fs, root) => {
    const host = new WASI({ version: 'preview1', preopens: { '/': root }, fs });
    const instance = new WebAssembly.Instance(guest, { wasi_snapshot_preview1: host.wasiImport });
    host.initialize(instance);
    const { memory, ...wasi } = instance.exports;
    const bytes = () => Buffer.from(memory.buffer);
    return { wasi, bytes, put: (at, string) => bytes().write(string, at) }; // put gives the length
};
const seen = (fs) => {
    const root = `${process.cwd()}/sandbox`;
    fs.mkdirSync(root, { recursive: true });
    for (const folder of ['new', 'old', 'folder', 'folder2']) fs.mkdirSync(`${root}/${folder}`);
    for (const file of ['new/a', 'old/precious', 'file', 'file2']) fs.writeFileSync(`${root}/${file}`, 'content');
    const { wasi, put } = start(fs, root);
    const rename = (from, to) => wasi.path_rename(3, 4096, put(4096, from), 3, 8192, put(8192, to));
    return {
        full: rename('new', 'old'), inOld: fs.readdirSync(`${root}/old`).join(),
        fileToFolder: rename('file', 'folder'), folderToFile: rename('folder2', 'file2'),
    };
};
const node = seen(nodeFs), memfs = seen(createFsFromVolume(new Volume()));
console.log({ node, memfs });
assert.deepEqual(node, { full: 55, inOld: 'precious', fileToFolder: 31, folderToFile: 54 });
assert.deepEqual(memfs, { full: 0, inOld: 'a', fileToFolder: 0, folderToFile: 0 });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the old content is gone, with success"
