#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
debian_unpacked emscripten emscripten binaryen node-acorn node-xtend
need clang node
usr=$TOOLS/emscripten/usr
cat >"$TOOLS/emscripten/config" <<CONFIG
NODE_JS = '$(command -v node)'
LLVM_ROOT = '/usr/bin'
BINARYEN_ROOT = '$usr'
EMSCRIPTEN_ROOT = '$usr/share/emscripten'
CACHE = '$usr/share/emscripten/cache'
CONFIG
export EM_CONFIG=$TOOLS/emscripten/config NODE_PATH=$usr/share/nodejs EM_IGNORE_SANITY=1
export PATH=$usr/bin:$PATH LD_LIBRARY_PATH=$(echo "$usr"/lib/*-linux-gnu)
nice -n 19 python3 "$usr/share/emscripten/emcc.py" -O2 -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH main.c -o "$module"
say_version "emcc $(python3 "$usr/share/emscripten/emcc.py" --version 2>/dev/null | sed -n '1s/.*linker emulating GNU ld) \([0-9.]*\).*/\1/p')"
