//! What guests import, one file for each interface of the contract.

mod log;
pub(super) mod registration;
pub(super) mod requests;
pub(super) mod sockets;

use super::bindings::hitchy::platform::types;
use super::convert;
use super::state::State;
use crate::payload::{Failure, Payload};

impl types::Host for State {}

/// What an import answers: the guest's result, inside wasmtime's (whose errors end the call).
type Answer<T> = wasmtime::Result<Result<T, types::Failure>>;

/// Hands a result of ours to the guest.
fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(convert::failure_to_guest))
}

impl State {
    /// Counts an emit against what the call may send, and takes its payload.
    fn take_emit(&mut self, payload: types::Payload) -> Result<Payload, Failure> {
        self.serving()?;
        let payload = convert::payload(payload);
        let (size, settings) = (payload.size(), &self.call.settings);
        let max = self.services.sizes.payload;
        if size > max {
            let message =
                format!("the payload has {size} bytes; at most {max} are sent (server.body-limit)");
            return Err(Failure::new(413, message));
        }
        if self.emits >= settings.emits_per_call {
            let message = format!(
                "rate-limited: a call may emit {} times (limits.emits-per-call)",
                settings.emits_per_call
            );
            return Err(Failure::new(429, message));
        }
        if self.emit_bytes + size > settings.emit_bytes_per_call {
            let message = format!(
                "rate-limited: a call may emit {} bytes (limits.emit-bytes-per-call)",
                settings.emit_bytes_per_call
            );
            return Err(Failure::new(429, message));
        }
        self.emits += 1;
        self.emit_bytes += size;
        Ok(payload)
    }
}
