#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
debian ldc
c_tool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nice -n 19 ldc2 -mtriple=wasm32-unknown-wasi -betterC -Os -c main.d -of="$work/main.o"
clang --target=wasm32-wasi "$work/main.o" -Wl,--strip-all -o "$module"
say_version "LDC $(ldc2 --version | sed -n '1s/.*(\([0-9.]*\)).*/\1/p'), $(c_version)"
