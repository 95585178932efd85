#!/usr/bin/env bash
# The WASI 0.2 shim for Node overwrites what was written to a file after a stream for appending was opened.
#
# wasi:filesystem/types, append-via-stream: "Return a stream for appending to a file [...] similar to write with O_APPEND in
# POSIX", where the offset is set to the end of the file before each write. Expected: two such streams (a log that is written
# from two places) give "start one two". Seen: each begins at the size that the file had when it was opened, so that "one" is
# lost, with success.
#
# Its README: "Node.js support is fully tested and conformant against the Wasmtime test suite".
# npm @bytecodealliance/preview2-shim 0.26.1, as jco's components use it.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bytecodealliance/preview2-shim@0.26.1 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), preview2-shim 0.26.1"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import * as filesystem from '@bytecodealliance/preview2-shim/filesystem';

fs.mkdirSync('sandbox');
fs.writeFileSync('sandbox/log', 'start');
filesystem._setPreopens({ '/': fs.realpathSync('sandbox') });
const [[root]] = filesystem.preopens.getDirectories();
const file = root.openAt({ symlinkFollow: true }, 'log', {}, { write: true });
const [first, second] = [file.appendViaStream(), file.appendViaStream()];
first.blockingWriteAndFlush(Buffer.from(' one'));
const between = fs.readFileSync('sandbox/log', 'utf8');
second.blockingWriteAndFlush(Buffer.from(' two'));
const after = fs.readFileSync('sandbox/log', 'utf8');
console.log({ between, after });
assert.equal(between, 'start one');
assert.equal(after, 'start two');
process.exit(0);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: what was appended first is lost"
