#!/usr/bin/env bash
# wabt.js's applyNames fails for a valid module that has element segments and no table.
#
# wabt.js's README: "applyNames(): Applies textual names. Throws on error". WebAssembly Core Specification: passive and
# declarative element segments need no table. Expected: nothing to complain of, as Node compiles the module and wabt validates
# it. Seen: "applyNames failed."; with an unused table it succeeds.
#
# npm wabt 1.0.39.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import wabt from 'wabt';

const tool = await wabt();
const apply = (text) => {
    const binary = tool.parseWat('module.wat', text).toBinary({}).buffer;
    assert.ok(WebAssembly.validate(binary));
    const module = tool.readWasm(binary, {});
    module.validate();
    try {
        module.applyNames();
        return 'no error';
    } catch (error) {
        return error.message;
    }
};
const rest = '(func $f) (elem declare func $f) (func (drop (ref.func $f)))';
const seen = { 'no table': apply(`(module ${rest})`), 'a table': apply(`(module (table 1 funcref) ${rest})`), passive: apply('(module (func $f) (elem func $f))') };
console.log(seen);
assert.deepEqual(seen, { 'no table': 'applyNames failed.', 'a table': 'no error', passive: 'applyNames failed.' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: applyNames wants a table"
