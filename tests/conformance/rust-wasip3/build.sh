#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
rust_tool
rust_build wasm32-wasip2 rust_wasip3
say_version "$(rust_version_text), wasip3 0.9.0 (WASI 0.3.0)"
