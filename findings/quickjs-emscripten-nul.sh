#!/usr/bin/env bash
# quickjs-emscripten cuts strings at the first NUL, on their way into the interpreter and out of it.
#
# Its documentation: newString: "Create a QuickJS string value" (with a link to MDN's String), getString: "Converts handle to a
# Javascript string", setProp: "handle[key] = value". ECMAScript, the String type: any sequence of 16-bit values, 0 among them;
# the interpreter itself has such strings. Expected: "head\0tail" with 9 letters on both sides, and a property of that name.
# Seen: "head", from newString, getString and dump of a string alone, and setProp sets "head" instead. Inside an object dump is
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
const evaluate = (code) => context.unwrapResult(context.evalCode(code));
const text = 'head\0tail';
context.setProp(context.global, 'given', context.newString(text));
const object = evaluate('globalThis.object = { head: 1 }');
context.setProp(object, text, context.newNumber(2));
const seen = {
    insideItself: context.getNumber(evaluate(String.raw`'head\0tail'.length`)),
    newString: context.getNumber(evaluate('given.length')),
    getString: context.getString(evaluate(String.raw`'head\0tail'`)).length,
    dump: context.dump(evaluate(String.raw`'head\0tail'`)).length,
    dumpOfObject: context.dump(evaluate(String.raw`({ text: 'head\0tail' })`)).text.length,
    setProp: context.getString(evaluate('JSON.stringify(object)')),
};
console.log(seen);
assert.deepEqual(seen, { insideItself: 9, newString: 4, getString: 4, dump: 4, dumpOfObject: 9, setProp: '{"head":2}' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: what follows the NUL is lost"
