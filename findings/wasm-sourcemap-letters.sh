#!/usr/bin/env bash
# wasm-sourcemap reads and writes the URL of a source map in Latin-1, where the format has UTF-8.
#
# ECMA-426 (source map format), extraction from WebAssembly, and WebAssembly's tool conventions: the custom section
# "sourceMappingURL" holds a name, which is UTF-8 (Core Specification, binary format, names). wasm-sourcemap's README:
# GetSourceMapURL "returns the URL set as the sourcemap URL". Expected: "maps/größe.map", as Binaryen has written it, and the
# bytes of UTF-8 from SetSourceMapURL. Seen: two letters for each umlaut; and bytes that are no UTF-8; of a letter beyond
# U+00FF only the lower eight bits are written.
#
# npm wasm-sourcemap 1.0.0; npm binaryen 132.0.0 writes the module.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in node npm; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps wasm-sourcemap@1.0.0 binaryen@132.0.0 >log 2>&1 || cannot "npm does not install: $(tail -n 3 log)"
echo "Node $(node --version), wasm-sourcemap 1.0.0, binaryen 132.0.0"
cat >try.mjs <<'END'
import assert from 'node:assert/strict';
import binaryen from 'binaryen';
import sourceMap from 'wasm-sourcemap';

const section = (binary) => {
    const [content] = WebAssembly.Module.customSections(new WebAssembly.Module(binary), 'sourceMappingURL');
    return Buffer.from(content).subarray(1); // after the length
};
const decode = (bytes) => {
    try {
        return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
        return `no UTF-8: ${bytes.toString('hex')}`;
    }
};
const module = new binaryen.Module();
const seen = [];
for (const url of ['maps/size.map', 'maps/größe.map', 'maps/Ω.map']) {
    const { binary } = module.emitBinary(url);
    seen.push({ url, binaryen: decode(section(binary)), read: sourceMap.GetSourceMapURL(binary), written: decode(section(sourceMap.SetSourceMapURL(binary, url))) });
}
console.log(seen);
assert.ok(seen.every(({ url, binaryen }) => url === binaryen));
assert.deepEqual(seen.map(({ read }) => read), ['maps/size.map', 'maps/gr\u00c3\u00b6\u00c3\u009fe.map', 'maps/\u00ce\u00a9.map']);
assert.deepEqual(seen.map(({ written }) => written), ['maps/size.map', 'no UTF-8: 6d6170732f6772f6df652e6d6170', 'no UTF-8: 6d6170732fa92e6d6170']);
END
status=0
timeout 60 node --no-warnings try.mjs || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: other letters than in the URL"
