// Greets and adds up, as a reactor: parameters and result are in memory.
package main

import (
	"encoding/json"
	"unsafe"
)

// Keeps what the node writes and reads from the garbage collector.
var input, output []byte

//go:wasmexport serverledge_alloc
func alloc(length uint32) uint32 {
	input = make([]byte, length+1)
	return uint32(uintptr(unsafe.Pointer(&input[0])))
}

//go:wasmexport serverledge_handle
func handle(pointer, length uint32) uint64 {
	var in struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	const failed = 1 << 31
	flag := uint64(0)
	var reply any
	if err := json.Unmarshal(input[:length], &in); err != nil {
		flag = failed
		reply = map[string]string{"error": "BadParams", "message": err.Error(), "stack": ""}
	} else {
		reply = map[string]any{"message": "Hello, " + in.Name + "!", "sum": in.N * (in.N + 1) / 2}
	}
	output, _ = json.Marshal(reply)
	return uint64(uintptr(unsafe.Pointer(&output[0])))<<32 | uint64(len(output)) | flag
}

func main() {}
