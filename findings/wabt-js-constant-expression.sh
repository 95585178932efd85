#!/usr/bin/env bash
# wabt prints a constant expression of several instructions as text that is none.
#
# WebAssembly Core Specification (2.0 with extended constant expressions; part of 3.0), text format: a global's initializer is
# a sequence of instructions, each by itself or folded: "global.get 0 i32.const 3 i32.add". Expected: text that reads back.
# Seen: "(global.get 0 i32.const 3 i32.add)", one pair of parentheses around all, which wabt's own reader refuses; folded or
# not.
#
# npm wabt 1.0.39, the feature extended_const on.
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
const features = { extended_const: true };
const text = '(module (import "a" "b" (global i32)) (global i32 (i32.add (global.get 0) (i32.const 3))))';
for (const foldExprs of [false, true]) {
    const printed = tool.parseWat('module.wat', text, features).toText({ foldExprs });
    console.log(printed);
    assert.match(printed, /\(global\.get 0\s+i32\.const 3\s+i32\.add\)/);
    assert.throws(() => tool.parseWat('printed.wat', printed, features), /unexpected token i32\.const/);
}
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: printed, and refused when read"
