#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
zig_tool
zig cc -target wasm32-wasi -std=c11 -Os -s "$ROOT/tests/conformance/c/main.c" -o "$module"
say_version "zig cc $(zig version)"
