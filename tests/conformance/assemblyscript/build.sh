#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
npm_tool assemblyscript assemblyscript@0.28.20 @assemblyscript/wasi-shim@0.1.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp main.ts "$work/"
ln -s "$TOOLS/assemblyscript/node_modules" "$work/node_modules"
(cd "$work" && asc main.ts --config node_modules/@assemblyscript/wasi-shim/asconfig.json -O3 -o "$module")
say_version "asc 0.28.20, wasi-shim 0.1.0"
