#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
npm_tool ruby @ruby/4.0-wasm-wasi@2.10.1
cp "$TOOLS/ruby/node_modules/@ruby/4.0-wasm-wasi/dist/ruby.wasm" "$module"
say_version "@ruby/4.0-wasm-wasi 2.10.1"
