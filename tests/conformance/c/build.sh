#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
c_tool
clang --target=wasm32-wasi -std=c11 -O2 -Wall -Wextra -Werror main.c -Wl,--strip-all -o "$module"
say_version "$(c_version)"
