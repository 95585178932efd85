#!/usr/bin/env bash
# jco drops a byte order mark at the start of a string that a component returns.
#
# Component Model, design/mvp/CanonicalABI.md, load_string_from_range: the bytes are decoded as 'utf-8' or 'utf-16-le', with
# which U+FEFF at the start is a letter like others. Expected: a table of values for a spreadsheet, which begins with this mark,
# keeps it. Seen: one letter less, for both encodings, and for each string of a list; what is passed on is not what was given.
#
# npm @bytecodealliance/jco-transpile 0.15.0 (jco 1.35.0). (Wasmtime 50 keeps it.)
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @bytecodealliance/jco-transpile@0.15.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), jco-transpile 0.15.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { transpileBytes } from '@bytecodealliance/jco-transpile';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';

const interfaces = 'package a:b; world c { export table: func() -> string; }';
const text = '\ufeffname;price';
const length = async (stringEncoding, bytes) => {
    const data = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
    const units = stringEncoding === 'utf8' ? bytes.length : bytes.length / 2;
    const core = await parse(`(module (memory (export "memory") 1) (data (i32.const 64) "${data}")
        (func (export "table") (result i32)
            (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const ${units})) (i32.const 16)))`);
    const component = await componentNew(await componentEmbed({ binary: core, witSource: interfaces, stringEncoding }), []);
    for (const [name, content] of Object.entries((await transpileBytes(component, { name: 'guest', outDir: stringEncoding })).files)) {
        fs.mkdirSync(new URL('.', new URL(name, import.meta.url)), { recursive: true });
        fs.writeFileSync(name, content);
    }
    fs.writeFileSync(`${stringEncoding}/package.json`, '{"type": "module"}');
    const result = (await import(`./${stringEncoding}/guest.js`)).table();
    console.log(`${stringEncoding}: ${text.length} letters in the guest, ${result.length} from jco: ${JSON.stringify(result)}`);
    return result;
};
assert.equal(await length('utf8', Buffer.from(text, 'utf8')), 'name;price');
assert.equal(await length('utf16', Buffer.from(text, 'utf16le')), 'name;price');
END
status=0
timeout 120 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the mark is gone"
