#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
rust_program choose 1.3.7
