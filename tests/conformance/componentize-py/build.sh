#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
pip_tool componentize-py componentize-py==0.25.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wit=$(crate_source wasmtime-wasi-http 48.0.8) || cannot "the WIT of wasi:http is not to be had"
cp app.py "$work/"
(cd "$work" && nice -n 19 componentize-py -d "$wit/wit" -w wasi:http/proxy@0.2.12 componentize app -o "$module")
say_version "componentize-py 0.25.1"
