#!/usr/bin/env bash
# A symbolic link has the size 0 for a guest whose host's files are memfs.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), filestat.size: "For symbolic links, the length in bytes of the pathname
# contained in the symbolic link" (as POSIX's st_size). memfs: "In-memory file-system with Node's fs API". Expected: 13 for a
# link to "some/file.txt", as with Node's own fs. Seen: 0, so that a program that makes its buffer for path_readlink of this
# size reads an empty target.
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
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_readlink" (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_initialize"))
    (export "path_filestat_get" (func $path_filestat_get))
    (export "path_readlink" (func $path_readlink)))`;
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
    fs.symlinkSync('some/file.txt', `${root}/link`);
    const { wasi, bytes, put } = start(fs, root);
    assert.equal(wasi.path_filestat_get(3, 0, 4096, put(4096, 'link'), 2048), 0);
    const type = bytes().readUInt8(2048 + 16), size = Number(bytes().readBigUInt64LE(2048 + 32));
    assert.equal(type, 7); // a symbolic link
    assert.equal(wasi.path_readlink(3, 4096, put(4096, 'link'), 8192, 100, 1024), 0);
    return { size, target: bytes().toString('utf8', 8192, 8192 + bytes().readUInt32LE(1024)) };
};
const node = seen(nodeFs), memfs = seen(createFsFromVolume(new Volume()));
console.log({ node, memfs });
assert.deepEqual(node, { size: 13, target: 'some/file.txt' });
assert.deepEqual(memfs, { size: 0, target: 'some/file.txt' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the size of the link is 0"
