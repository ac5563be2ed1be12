//! `hitchy:platform/types`, and the conversion of results for guests.

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

/// The result of an imported function. The inner result goes to the guest, and an outer error ends the call.
pub(super) type Answer<T> = wasmtime::Result<Result<T, types::Failure>>;

/// Converts a result of the host for the guest.
pub(super) fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(convert::failure_to_guest))
}

/// Returns the thing of a handle, or ends the imported function with the failure that the handle is of an earlier call.
macro_rules! held {
    ($found:expr) => {
        match $found? {
            Ok(thing) => thing,
            Err(stale) => return $crate::runtime::capabilities::types::answer(Err(stale.into())),
        }
    };
}
pub(super) use held;
