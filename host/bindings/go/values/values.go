// Written by `hitchy bindings`. DO NOT EDIT!

// Package values has the types of the contract that Go lacks.
package values

// Unit is the value of a result that says nothing.
type Unit struct{}

// Tuple2 is a pair.
type Tuple2[A, B any] struct {
	F0 A
	F1 B
}

// The tags of an Option.
const (
	OptionNone uint8 = iota
	OptionSome
)

// Option is a value that may be missing.
type Option[T any] struct {
	value  T
	isSome bool
}

// None returns an option without a value.
func None[T any]() Option[T] {
	return Option[T]{}
}

// Some returns an option with a value.
func Some[T any](value T) Option[T] {
	return Option[T]{value, true}
}

// IsSome returns true if there is a value.
func (option Option[T]) IsSome() bool {
	return option.isSome
}

// Some returns the value. It panics if there is none.
func (option Option[T]) Some() T {
	if !option.isSome {
		panic("this option has no value")
	}
	return option.value
}

// SomeOr returns the value, or another one if there is none.
func (option Option[T]) SomeOr(other T) T {
	if option.isSome {
		return option.value
	}
	return other
}

// Tag returns OptionSome if there is a value, and OptionNone if there is none.
func (option Option[T]) Tag() uint8 {
	if option.isSome {
		return OptionSome
	}
	return OptionNone
}

// The tags of a Result.
const (
	ResultOk uint8 = iota
	ResultErr
)

// Result is the value of a call that succeeded, or the error of one that failed.
type Result[T, E any] struct {
	value T
	err   E
	isErr bool
}

// Ok returns the result of a call that succeeded.
func Ok[T, E any](value T) Result[T, E] {
	return Result[T, E]{value: value}
}

// Err returns the result of a call that failed.
func Err[T, E any](err E) Result[T, E] {
	return Result[T, E]{err: err, isErr: true}
}

// IsErr returns true if the call failed.
func (result Result[T, E]) IsErr() bool {
	return result.isErr
}

// Ok returns the value. It panics if the call failed.
func (result Result[T, E]) Ok() T {
	if result.isErr {
		panic("this result is an error")
	}
	return result.value
}

// Err returns the error. It panics if the call succeeded.
func (result Result[T, E]) Err() E {
	if !result.isErr {
		panic("this result is not an error")
	}
	return result.err
}

// Tag returns ResultErr if the call failed, and ResultOk if it succeeded.
func (result Result[T, E]) Tag() uint8 {
	if result.isErr {
		return ResultErr
	}
	return ResultOk
}
