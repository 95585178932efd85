#!/usr/bin/env bash
# The WASI 0.2 shim for Node sets a file's time to the year 2446 instead of the one given, and to 1970 instead of now.
#
# wasi:filesystem/types, new-timestamp: "timestamp: Set the timestamp to the given value", "now: Set the timestamp to the current
# time of the system clock". Expected: the time given, and the time of the call, from set-times and from set-times-at. Seen:
# set-times gives its milliseconds to Node as seconds (ext4 keeps 2446 at most), and set-times-at its seconds as milliseconds
# when asked for now; both succeed. set-times with now, and set-times-at with a time, are right.
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
fs.writeFileSync('sandbox/a', 'content');
filesystem._setPreopens({ '/': fs.realpathSync('sandbox') });
const [[root]] = filesystem.preopens.getDirectories();
const file = root.openAt({ symlinkFollow: true }, 'a', {}, { read: true, write: true });
const seconds = 1_700_000_000n;
const given = { tag: 'timestamp', val: { seconds, nanoseconds: 0 } }, now = { tag: 'now' };
const year = (set) => {
    fs.utimesSync('sandbox/a', 5, 5);
    set();
    return fs.statSync('sandbox/a').mtime.getUTCFullYear();
};
const seen = {
    'set-times, 2023': year(() => file.setTimes(given, given)),
    'set-times, now': year(() => file.setTimes(now, now)),
    'set-times-at, 2023': year(() => root.setTimesAt({ symlinkFollow: true }, 'a', given, given)),
    'set-times-at, now': year(() => root.setTimesAt({ symlinkFollow: true }, 'a', now, now)),
};
console.log(seen);
const today = new Date().getUTCFullYear();
assert.ok(seen['set-times, 2023'] > 2037); // as late as the file system can keep
assert.equal(seen['set-times, now'], today);
assert.equal(seen['set-times-at, 2023'], 2023);
assert.equal(seen['set-times-at, now'], 1970);
process.exit(0);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: success, and the wrong century"
