#!/usr/bin/env bash
# quickjs-emscripten's getProp reads another property when its key is a number of 2^32 and more, or a fraction.
#
# Its documentation: getProp is "handle[key]. Get a property from a JSValue". In JavaScript a number is the property of that
# name. Expected: what setProp has set with the same key. Seen: the key is taken modulo 2^32 and without its fraction, so that
# a table with times in milliseconds gives nothing or a neighbour's entry. setProp, and getProp with the key as a string, are
# right.
#
# npm quickjs-emscripten 0.32.0.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps quickjs-emscripten@0.32.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), quickjs-emscripten 0.32.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { getQuickJS } from 'quickjs-emscripten';

const context = (await getQuickJS()).newContext();
const table = context.newObject();
const keys = [0, 1, -1, 1.5, 2 ** 32 - 1, 2 ** 32, 1_700_000_000_000];
for (const key of keys) context.setProp(table, key, context.newString(`value of ${key}`));
const seen = keys.map((key) => ({ key, number: context.dump(context.getProp(table, key)), string: context.dump(context.getProp(table, String(key))) }));
console.table(seen);
assert.ok(seen.every(({ key, string }) => string === `value of ${key}`));
const right = (key) => [key, `value of ${key}`];
assert.deepEqual(seen.map(({ key, number }) => [key, number]), [
    right(0), right(1), right(-1), [1.5, 'value of 1'], right(2 ** 32 - 1), [2 ** 32, 'value of 0'], [1_700_000_000_000, undefined],
]);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: another property than the one set"
