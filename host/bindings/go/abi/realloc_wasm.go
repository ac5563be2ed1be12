// Written by `hitchy bindings`. DO NOT EDIT!

package abi

import "unsafe"

// pauseClock tells the adapter of WASI to answer with the last time that it knows. Go's allocator asks for the time
// once memory gets scarce.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

// realloc is the function of the canonical ABI by which the server gets memory, or enlarges what it got.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	pauseClock(true)
	memory := allocate(&received, size)
	pauseClock(false)
	given += size
	copy(unsafe.Slice((*byte)(memory), size), unsafe.Slice((*byte)(old), oldSize))
	return memory
}

// page is the unit in which the adapter of WASI asks for memory: one for its stack and one for its state.
const page = 1 << 16

var (
	adapterPages [2][page / 8]uint64
	pagesTaken   int
)

// reallocForAdapter gives memory to the adapter of WASI, which keeps it. It asks while Go's runtime starts and
// cannot allocate yet. It cannot enlarge the memory of the module instead, because Go's runtime would use that for
// itself.
//
//go:wasmexport cabi_realloc_adapter
//go:nosplit
func reallocForAdapter(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if oldSize != 0 || size > page || pagesTaken == len(adapterPages) {
		return nil
	}
	taken := unsafe.Pointer(&adapterPages[pagesTaken])
	pagesTaken++
	return taken
}
