// Written by `hitchy bindings`. DO NOT EDIT!

package abi

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Go's collector asks for the time, and a component may call nothing while the server asks it for memory or after a
// call. So the collector does not run by itself, unless a call fills all of ownLimit, but between other things that
// bindings do. The adapter of WASI can answer with a time it knows, but not to all questions of the collector:
// https://github.com/bytecodealliance/wasmtime/issues/14318

const (
	// ownLimit is the memory in bytes above which the collector runs by itself.
	ownLimit = 64 << 20
	// atLeast is how much the heap grows between two runs, in bytes.
	atLeast = 4 << 20
	// unseen is how much memory the server may get in one call before the heap is looked at, in bytes. What a handler
	// allocates between two calls to the server is counted as perCall.
	unseen  = 1 << 20
	perCall = unseen / 16
)

var (
	// isDue is true if the size of the heap is to be looked at.
	isDue bool
	// given counts the bytes that the server got since the heap was looked at.
	given uintptr
	// next is the size of the heap at which the collector runs.
	next uint64 = atLeast
	heap        = []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
)

func init() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(ownLimit)
}

// collectIfDue runs the collector if the heap has doubled.
func collectIfDue() {
	given += perCall
	if !isDue && given < unseen {
		return
	}
	isDue, given = false, 0
	if heapSize() >= next {
		runtime.GC()
		next = 2*heapSize() + atLeast
	}
}

// heapSize returns the bytes of all objects that were not collected.
func heapSize() uint64 {
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}
