#!/usr/bin/env bash
# Javy's own program is in no registry; its engine is a crate, and runs the script here. The crate would fetch a C compiler from
# elsewhere: it gets zig's.
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
zig_tool
rust_tool
c_tool
debian "libclang1-$(clang_major)" "llvm-$(clang_major)"
cat >"$OUT/cc" <<'CC'
#!/bin/sh
for each; do
    shift
    case $each in --target=*) ;; *) set -- "$@" "$each" ;; esac
done
exec python -m ziglang cc -target wasm32-wasi "$@"
CC
chmod +x "$OUT/cc"
export RQUICKJS_SYS_NO_WASI_SDK=1 CC_wasm32_wasip1=$OUT/cc AR_wasm32_wasip1=llvm-ar-$(clang_major) CFLAGS_wasm32_wasip1=-w
export LIBCLANG_PATH=/usr/lib/llvm-$(clang_major)/lib BINDGEN_EXTRA_CLANG_ARGS="-isystem /usr/include/wasm32-wasi"
rust_build wasm32-wasip1
say_version "javy 8.1.0 (crate), $(rust_version_text)"
