#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
zig_tool
sqlite=$(crate_source libsqlite3-sys 0.40.0)/sqlite3 || cannot "the sources of SQLite are not to be had"
zig cc -target wasm32-wasi -O2 -s -w -D_WASI_EMULATED_GETPID -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -I"$sqlite" \
    "$sqlite/sqlite3.c" main.c -lwasi-emulated-getpid -o "$module"
say_version "SQLite $(sed -n 's/^#define SQLITE_VERSION *"\(.*\)"/\1/p' "$sqlite/sqlite3.h"), zig cc $(zig version)"
