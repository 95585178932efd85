#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
need node npm
# A newer preview2-shim has no directories unless it is told, and jco tells it nothing.
# shellcheck disable=SC2016  # for the inner shell
once componentize-js bash -c 'cp "$1/package.json" . && npm install --silent --no-audit --no-fund --ignore-scripts' npm "$here"
PATH=$TOOLS/componentize-js/node_modules/.bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wit=$(crate_source wasmtime-wasi-http 48.0.8) || cannot "the WIT of wasi:http is not to be had"
cp -r "$here"/app.js "$work/"
cp -r "$wit/wit" "$work/wit"
(cd "$work" && nice -n 19 jco componentize app.js --wit wit --world-name wasi:http/proxy@0.2.12 -o "$module")
say_version "componentize-js 0.23.0, jco 1.35.0"
