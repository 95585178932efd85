#!/usr/bin/env bash
# wazero fails an fd_pwrite to a file that is open for appending.
#
# WASI preview 1 (wasi_snapshot_preview1.witx), fd_pwrite: "Write to a file descriptor, without using and updating the file
# descriptor's offset. Note: This is similar to pwritev"; fdflags.append: "Data written to the file is always appended to the
# file's end". Expected: the bytes at the offset (POSIX) or at the end (Linux; so do Wasmtime 50 and Node 20's node:wasi).
# Seen: error 29 (io), and nothing is written; an fd_write to the same descriptor appends.
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
//   (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
//   (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
//   (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
//   (memory (export "memory") 1)
//   (func (export "_initialize"))
//   (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
//     (call $path_open (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7) (local.get 8)))
//   (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32)
//     (call $fd_pwrite (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
//   (func (export "fd_write") (param i32 i32 i32 i32) (result i32)
//     (call $fd_write (local.get 0) (local.get 1) (local.get 2) (local.get 3))))
const guest = "" +
	"0061736d0100000001220460097f7f7f7f7f7e7e7f7f017f60057f7f7f7e7f017f60047f7f7f7f017f60000002690316776173695f736e617073686f" +
	"745f707265766965773109706174685f6f70656e000016776173695f736e617073686f745f70726576696577310966645f7077726974650001167761" +
	"73695f736e617073686f745f70726576696577310866645f77726974650002030504030001020503010001073b05066d656d6f727902000b5f696e69" +
	"7469616c697a65000309706174685f6f70656e00040966645f70777269746500050866645f777269746500060a370402000b16002000200120022003" +
	"2004200520062007200810000b0e002000200120022003200410010b0c00200020012002200310020b0028046e616d650121030009706174685f6f70" +
	"656e010966645f707772697465020866645f7772697465"

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
	must(os.WriteFile("sandbox/file", []byte("content"), 0o644))
	at, length := put(4096, "file")
	if call("path_open", 3, 0, at, length, 0, 0xffffff, 0, 1, 2048) != 0 {
		panic("path_open")
	}
	descriptor, _ := memory.ReadUint32Le(2048)
	text, size := put(8192, "abc")
	memory.WriteUint32Le(512, uint32(text))
	memory.WriteUint32Le(516, uint32(size))
	content := func() string {
		bytes, err := os.ReadFile("sandbox/file")
		must(err)
		return string(bytes)
	}
	pwrite := call("fd_pwrite", uint64(descriptor), 512, 1, 0, 2048)
	afterPwrite := content()
	write := call("fd_write", uint64(descriptor), 512, 1, 2048)
	afterWrite := content()
	fmt.Printf("fd_pwrite: %d, content %q; fd_write: %d, content %q\n", pwrite, afterPwrite, write, afterWrite)
	if pwrite != 29 || afterPwrite != "content" || write != 0 || afterWrite != "contentabc" {
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
echo "as recorded: an error instead of a write"
