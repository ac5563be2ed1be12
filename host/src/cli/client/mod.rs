//! The client for the terminal: `hitchy request`, `hitchy emit` and `hitchy listen`.
//!
//! It speaks the protocol of socket.io's clients in browsers, over a websocket. `packet` is the wire format,
//! `connection` is one connection to one namespace, and `http_door` sends requests over HTTP instead.

mod address;
mod answer;
mod args;
mod body;
mod connection;
mod emit;
mod error;
mod header;
mod http_door;
mod listen;
mod packet;
mod request;
mod run;

pub(super) use self::emit::EmitArgs;
pub(super) use self::listen::ListenArgs;
pub(super) use self::request::RequestArgs;

use super::error::CommandError;
use super::output::terminal::OutputError;

/// Runs `hitchy request` to its end.
pub(super) fn request(args: RequestArgs) -> Result<(), CommandError> {
    ignore_closed_output(request::run(args))
}

/// Runs `hitchy emit` to its end.
pub(super) fn emit(args: EmitArgs) -> Result<(), CommandError> {
    ignore_closed_output(emit::run(args))
}

/// Runs `hitchy listen` to its end.
pub(super) fn listen(args: ListenArgs) -> Result<(), CommandError> {
    ignore_closed_output(listen::run(args))
}

/// Turns the error of a closed standard output into success, because its reader (`head`, for example) has read enough.
fn ignore_closed_output(result: Result<(), CommandError>) -> Result<(), CommandError> {
    match result {
        Err(CommandError::Failure(error))
            if error.downcast_ref().is_some_and(OutputError::is_closed) =>
        {
            Ok(())
        }
        result => result,
    }
}
