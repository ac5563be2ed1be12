// Written by `hitchy bindings`. DO NOT EDIT!

package abi

// Handle refers to a resource of the server. Its index is 0 once the resource was dropped, or given away.
type Handle struct {
	index int32
}

// MakeHandle returns the handle of a resource.
func MakeHandle(index int32) *Handle {
	handle := new(Handle)
	handle.Set(index)
	return handle
}

// Use returns the index, for a call that only borrows the resource.
func (handle *Handle) Use() int32 {
	if handle.index == 0 {
		panic("this resource was dropped or given away")
	}
	return handle.index
}

// Take returns the index for a call that gets the resource for good.
func (handle *Handle) Take() int32 {
	defer handle.TakeOrNil()
	return handle.Use()
}

// TakeOrNil returns the index, or 0 if the resource was dropped or given away already.
func (handle *Handle) TakeOrNil() int32 {
	index := handle.index
	handle.index = 0
	return index
}

// Set gives a resource to a handle that has none.
func (handle *Handle) Set(index int32) {
	if index == 0 || handle.index != 0 {
		panic("a handle is set once, and to a resource")
	}
	handle.index = index
}
