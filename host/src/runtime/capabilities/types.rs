//! `hitchy:platform/types`, and how results reach guests.

use wasmtime::component::HasSelf;

use super::capability::{Capability, Interfaces};
use crate::payload::Failure;
use crate::runtime::bindings::hitchy::platform::types;
use crate::runtime::convert;
use crate::runtime::instance::state::State;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["types"])],
    link: |linker| types::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

impl types::Host for State {}

/// The answer of an import: the guest's result inside wasmtime's, whose errors end the call.
pub(super) type Answer<T> = wasmtime::Result<Result<T, types::Failure>>;

/// Hands a result of the host to the guest.
pub(super) fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(convert::failure_to_guest))
}
