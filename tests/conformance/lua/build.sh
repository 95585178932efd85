#!/usr/bin/env bash
# The sources of Lua as a Rust package has them, which know WASI. Compiled as C++, errors are exceptions.
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
cxx_tool
folder=$(crate_source lua-src 551.1.0)/lua-5.4.9 || cannot "the sources of Lua are not to be had"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    printf 'static const unsigned char script[] = {'
    od -An -v -tu1 main.lua | sed 's/$/ /; s/  *\([0-9]\)/ \1/g; s/\([0-9]\) /\1,/g'
    printf '};\nenum { script_length = sizeof script };\n'
} >"$work/script.h"
options=("${eh[@]}" -x c++ -std=c++20 -w -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS -I"$folder" -I"$work")
for source in "$folder"/*.c main.c; do
    case $source in */lua.c | */luac.c | */onelua.c | */ltests.c) continue ;; esac
    zig c++ "${options[@]}" -c "$source" -o "$work/$(basename "$source" .c).o"
done
zig c++ "${eh[@]}" -s -nostdlib++ "$work"/*.o "$cxx" -lwasi-emulated-signal -lwasi-emulated-process-clocks -o "$module"
say_version "Lua 5.4.9, zig $(zig version)"
