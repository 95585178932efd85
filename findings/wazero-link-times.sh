#!/usr/bin/env bash
# wazero sets the times of a link's target when a guest asks for the link's own.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), path_filestat_set_times: "Adjust the timestamps of a file or directory. Note:
# This is similar to utimensat in POSIX"; only with the lookup flag symlink_follow is a symbolic link expanded. Expected
# without it: the link has the time, and its target is as it was (as with Wasmtime 50 and Node 20's node:wasi). Seen: success;
# the target has the time, and the link does not.
#
# Go module github.com/tetratelabs/wazero v1.12.0, on Linux.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v go >/dev/null || cannot "no go"
cd "$folder"
export GOMODCACHE=$folder/modules GOFLAGS='-modcacherw -trimpath -mod=mod' GOTOOLCHAIN=local GOWORK=off
cat >main.go <<'END'
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// A module that passes on what it imports:
// (module
//   (import "wasi_snapshot_preview1" "path_filestat_set_times" (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
//   (memory (export "memory") 1)
//   (func (export "_initialize"))
//   (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32)
//     (call $path_filestat_set_times (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6))))
const guest = "" +
	"0061736d01000000010f0260077f7f7f7f7e7e7f017f60000002320116776173695f736e617073686f745f707265766965773117706174685f66696c" +
	"65737461745f7365745f74696d6573000003030201000503010001073203066d656d6f727902000b5f696e697469616c697a65000117706174685f66" +
	"696c65737461745f7365745f74696d657300020a170202000b1200200020012002200320042005200610000b0021046e616d65011a01001770617468" +
	"5f66696c65737461745f7365745f74696d6573"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	must(os.Mkdir("sandbox", 0o755))
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	binary, err := hex.DecodeString(guest)
	must(err)
	config := wazero.NewModuleConfig().WithFSConfig(wazero.NewFSConfig().WithDirMount("sandbox", "/"))
	instance, err := runtime.InstantiateWithConfig(ctx, binary, config)
	must(err)
	memory := instance.Memory()
	put := func(at uint32, text string) (uint64, uint64) { // its place and length
		memory.Write(at, []byte(text))
		return uint64(at), uint64(len(text))
	}
	call := func(name string, arguments ...uint64) uint32 {
		results, err := instance.ExportedFunction(name).Call(ctx, arguments...)
		must(err)
		return uint32(results[0])
	}
	must(os.WriteFile("sandbox/file", nil, 0o644))
	must(os.Symlink("file", "sandbox/link"))
	const time = 1_000_000_000 // seconds
	at, length := put(4096, "link")
	result := call("path_filestat_set_times", 3, 0, at, length, time*1_000_000_000, time*1_000_000_000, 1|4)
	link, err := os.Lstat("sandbox/link")
	must(err)
	file, err := os.Lstat("sandbox/file")
	must(err)
	isSet := func(info os.FileInfo) bool { return info.ModTime().Unix() == time }
	fmt.Printf("error %d; the link has the time: %v; its target has it: %v\n", result, isSet(link), isSet(file))
	if result != 0 || isSet(link) || !isSet(file) {
		os.Exit(1)
	}
}
END
printf 'module try\n\ngo 1.23\n\nrequire github.com/tetratelabs/wazero v1.12.0\n' >go.mod
go build -o try . >log 2>&1 || cannot "Go does not build: $(tail -n 3 log)"
echo "$(go version | cut -d ' ' -f 3), wazero 1.12.0"
status=0
timeout 60 ./try || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: the wrong file is changed, with success"
