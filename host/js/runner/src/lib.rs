//! Runs handlers in JavaScript: QuickJS as a component that exports and imports the contract of Hitchy.
//!
//! The server calls `init` once with the sources of a handler, and then keeps the memory of the instance as an image,
//! from which each instance of the handler begins. Everything that `init` leaves behind therefore lasts, and nothing
//! that a host function returned may be kept.
//!
//! This crate has two layers. The native functions here are thin: they pass on what the contract imports. The API that
//! handlers see is written in JavaScript, in `prelude/`.

mod bindings;
mod calls;
mod engine;
mod files;
mod natives;
mod settle;
mod values;
