#!/usr/bin/env bash
# @webassemblyjs prints infinities, NaNs and negative zero as other numbers.
#
# WebAssembly Core Specification, text format, floating-point values: "inf", "nan:0x..." and "-0" stand for these values in the
# text format. Expected: constants that read back as the same value. Seen: 1 and -1 for the infinities, the payload as a whole
# number for a NaN, 0 for -0.
#
# npm @webassemblyjs/wasm-parser 1.14.1 and @webassemblyjs/wast-printer 1.14.1; npm wabt 1.0.39 assembles.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @webassemblyjs/wasm-parser@1.14.1 @webassemblyjs/wast-printer@1.14.1 wabt@1.0.39 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), @webassemblyjs/wasm-parser 1.14.1, @webassemblyjs/wast-printer 1.14.1, wabt 1.0.39"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import { decode } from '@webassemblyjs/wasm-parser';
import { print } from '@webassemblyjs/wast-printer';
import wabt from 'wabt';

const tool = await wabt();
const assemble = (text) => Buffer.from(tool.parseWat('module.wat', text).toBinary({}).buffer);
const printed = (text) => print(decode(assemble(text)));
const seen = {};
for (const literal of ['1.5', 'inf', '-inf', 'nan', 'nan:0x200000', '-0'])
    seen[literal] = printed(`(module (func (result f32) (f32.const ${literal})))`).match(/f32\.const ([^)]*)\)/)[1];
console.log('decoded and printed:', seen);
assert.deepEqual(seen, { 1.5: '1.5', inf: '1', '-inf': '-1', nan: '4194304', 'nan:0x200000': '2097152', '-0': '0' });
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: five of six constants change their value"
