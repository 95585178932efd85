#!/usr/bin/env bash
# wasmoon gives Lua 0 for 1e300 and a negative number for 2^63.
#
# wasmoon's README: "A real lua VM with JS bindings", with numbers that are given to Lua functions. Lua 5.4 Reference Manual,
# 2.1: a number is a 64-bit integer or a double-precision float, and 3.4.3: a float becomes an integer only if it has an exact
# representation as one. Expected: the float that JavaScript has. Seen: every whole number is made an integer, whatever its
# size, modulo 2^64: Number.MAX_VALUE is 0 in Lua, 2^63 is math.mininteger, and so for arguments and for what functions return.
#
# npm wasmoon 1.16.0.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasmoon@1.16.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasmoon 1.16.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { LuaFactory } from 'wasmoon';

const lua = await new LuaFactory().createEngine();
const show = await lua.doString('return function(given) return math.type(given) .. " " .. tostring(given) end');
lua.global.set('distance', () => 1e300);
const seen = [2 ** 53, 0.5, 2 ** 62, 2 ** 63, 1e19, 1e300, Number.MAX_VALUE].map((number) => ({ number, lua: show(number) }));
console.table(seen);
const far = await lua.doString('return distance() > 5');
console.log('1e300 from a JavaScript function is more than 5 in Lua:', far);
assert.deepEqual(seen.map((line) => line.lua), [
    'integer 9007199254740992', 'float 0.5', 'integer 4611686018427387904', 'integer -9223372036854775808',
    'integer -8446744073709551616', 'integer 0', 'integer 0',
]);
assert.equal(far, false);
lua.global.close();
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: other numbers in Lua"
