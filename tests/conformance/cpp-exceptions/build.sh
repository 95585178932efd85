#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
cxx_tool
zig c++ "${eh[@]}" -std=c++20 -Wall -Wextra -c main.cpp -o "$OUT/main.o"
zig c++ "${eh[@]}" -s -nostdlib++ "$OUT/main.o" "$cxx" -o "$module"
rm "$OUT/main.o"
say_version "zig $(zig version), $(zig c++ --version | sed -n '1s/ *(.*//;1p')"
