#!/usr/bin/env bash
# AssemblyScript's parseFloat is wrong by powers of ten for many numbers of 17 digits between 1e40 and 1e54.
#
# AssemblyScript's documentation of the globals: "Parses a string to a 64-bit float" (as F64.parseFloat). Expected: the number
# whose digits these are, so that what toString() has printed reads back; a literal in the source is compiled so, and JavaScript
# does so. Seen: "1.7255062529228429e+52" is 1.7255062529228427e+38, fourteen orders of magnitude less. With one digit less it
# is right, and beside these powers of ten it is too, but for the last digit now and then.
#
# npm assemblyscript 0.28.20.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps assemblyscript@0.28.20 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), assemblyscript 0.28.20"
cat >guest.ts <<'END'
export function literal(): f64 { return 1.7255062529228429e+52; }
export function parsed(): f64 { return parseFloat("1.7255062529228429e+52"); }
export function oneDigitLess(): f64 { return parseFloat("1.725506252922842e+52"); }
export function wholeDigits(): f64 { return F64.parseFloat("12345678901234567e24"); }
export function again(): f64 { const number: f64 = 2.2818086079417432e+53; return parseFloat(number.toString()) / number; }
END
timeout 60 npx asc guest.ts -o guest.wasm --bindings raw
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync('guest.wasm')), { env: { abort() { throw new Error('abort'); } } });
const seen = Object.fromEntries(['literal', 'parsed', 'oneDigitLess', 'wholeDigits', 'again'].map((name) => [name, exports[name]()]));
console.log(seen, 'JavaScript:', Number('1.7255062529228429e+52'), Number('12345678901234567e24'));
assert.equal(seen.literal, 1.7255062529228429e+52);
assert.equal(seen.oneDigitLess, 1.725506252922842e+52);
assert.ok(seen.parsed > 1.7e38 && seen.parsed < 1.8e38);
assert.ok(seen.wholeDigits > 1.2e38 && seen.wholeDigits < 1.3e38);
assert.ok(seen.again < 1e-14);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: parsed numbers are too small by many orders of magnitude"
