#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
c_tool
clang --target=wasm32-wasi -std=c11 -O2 -Wall -Wextra -Werror main.c -Wl,--strip-all -o "$module"
# The folder that is uploaded: the module and its data.
mkdir "$OUT/files"
cp "$module" "$OUT/files/main.wasm"
cp prices.csv "$OUT/files/"
say_version "$(c_version)"
