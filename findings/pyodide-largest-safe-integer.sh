#!/usr/bin/env bash
# Pyodide gives JavaScript a BigInt for the largest safe integer.
#
# Pyodide's documentation, type translations: "An int is converted to a Number if the absolute value is less than or equal to
# Number.MAX_SAFE_INTEGER otherwise it is converted to a BigInt", and an object that goes from JavaScript to Python and back
# "is === to the original object". Expected: Number.MAX_SAFE_INTEGER comes back as the Number that it was. Seen: a BigInt, for
# it and for its negative, with which JavaScript refuses to calculate ("Cannot mix BigInt and other types"). One less is right.
#
# npm pyodide 314.0.7.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps pyodide@314.0.7 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), pyodide 314.0.7"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { loadPyodide } from 'pyodide';

const pyodide = await loadPyodide();
const same = pyodide.runPython('lambda x: x'), kind = pyodide.runPython('lambda x: type(x).__name__');
const seen = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, Number.MIN_SAFE_INTEGER].map((value) => {
    const back = same(value);
    return { value, python: kind(value), back: typeof back, same: back === value };
});
console.table(seen);
assert.deepEqual(seen.map((line) => [line.python, line.back, line.same]), [['int', 'bigint', false], ['int', 'number', true], ['int', 'bigint', false]]);
assert.equal(typeof pyodide.runPython('2 ** 53 - 1'), 'bigint');
assert.throws(() => same(Number.MAX_SAFE_INTEGER) - 1, /Cannot mix BigInt/);
END
status=0
timeout 120 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: a BigInt instead of a Number"
