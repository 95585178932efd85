#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
zig_tool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && zig build-exe "$here/main.zig" -target wasm32-wasi -O ReleaseSmall -fstrip -femit-bin="$module")
say_version "zig $(zig version)"
