#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
debian nim
c_tool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp main.nim start.c "$work/"
# Nim's own main has three parameters, which is no main of wasi-libc: start.c has one, and calls Nim's.
(cd "$work" && nice -n 19 nim c --hints:off --os:linux --cpu:i386 --cc:clang --clang.exe:clang --clang.linkerexe:clang --mm:orc --threads:off \
    --exceptions:goto -d:release -d:useMalloc -d:noSignalHandler --noMain --nimcache:cache --out:main.wasm \
    --passC:"--target=wasm32-wasi -w -D_WASI_EMULATED_SIGNAL -include $here/locks.h" \
    --passL:"--target=wasm32-wasi -lwasi-emulated-signal -Wl,--strip-all" main.nim)
cp "$work/main.wasm" "$module"
say_version "Nim $(nim --version | sed -n '1s/.*Version \([0-9.]*\).*/\1/p'), $(c_version)"
