#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
need go
export GOCACHE=$TOOLS/go-cache GOTOOLCHAIN=local GOFLAGS=-mod=mod GOOS=wasip1 GOARCH=wasm
nice -n 19 go build -p 1 -trimpath -ldflags='-s -w' -buildmode=c-shared -o "$module" .
say_version "$(go version | cut -d' ' -f3)"
