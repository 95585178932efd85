#!/usr/bin/env bash
# wasmoon cuts strings at the first NUL, from JavaScript to Lua and back.
#
# Lua 5.4 Reference Manual, 2.1: "Lua is 8-bit clean: strings can contain any 8-bit value, including embedded zeros"; strings
# of JavaScript can, too; wasmoon's README promises a real Lua VM with interoperability. Expected: "head\0tail" with 9 letters
# on both sides. Seen: "head", with no error, for variables, arguments and results, and for the keys of tables.
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
lua.global.set('given', 'head\0tail');
const seen = {
    insideLua: await lua.doString(String.raw`return #'head\0tail'`),
    toLua: await lua.doString('return #given'),
    fromLua: (await lua.doString(String.raw`return 'head\0tail'`)).length,
    key: Object.keys(await lua.doString(String.raw`return { ['head\0tail'] = 1 }`))[0].length,
};
console.log(seen);
assert.deepEqual(seen, { insideLua: 9, toLua: 4, fromLua: 4, key: 4 });
lua.global.close();
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: what follows the NUL is lost"
