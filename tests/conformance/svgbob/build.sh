#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
rust_program svgbob_cli 0.7.6
