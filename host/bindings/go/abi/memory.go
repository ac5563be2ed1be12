// Written by `hitchy bindings`. DO NOT EDIT!

// Package abi is what the bindings need of the canonical ABI of WebAssembly components: memory and handles.
package abi

import (
	"runtime"
	"unsafe"
)

// received is the memory into which the server has written. Go's collector sees no pointer to it until the bindings
// have read what is there.
var received runtime.Pinner

// Allocate returns memory for what the server reads, or for results that it writes. It lasts until pinner is
// unpinned.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	collectIfDue()
	return allocate(pinner, size)
}

// allocate returns memory that fits every type of the canonical ABI, whose largest alignment is that of a word of 8
// bytes.
func allocate(pinner *runtime.Pinner, size uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	words := make([]uint64, (size+7)/8)
	memory := unsafe.Pointer(unsafe.SliceData(words))
	pinner.Pin(memory)
	return memory
}

// Unpin leaves the memory into which the server has written to the collector. What the bindings made of it is kept
// for as long as the handler refers to it.
func Unpin() {
	received.Unpin()
}

// EndCall runs when the server has read the result of a call.
func EndCall() {
	Unpin()
	isDue = true
}
