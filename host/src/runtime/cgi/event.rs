//! An event for a command, as JSON on standard input, and the ack on standard output.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::message::Event;
use crate::runtime::bindings::hitchy::platform::types;
use crate::runtime::error::CallError;
use crate::sockets::Connection;

/// An event as a command reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    event: &'a str,
    namespace: &'a str,
    socket: &'a str,
    /// True if the client waits for the ack.
    ack_wanted: bool,
    /// The arguments. A binary one is written as `{"_placeholder": true, "num": N}`.
    args: &'a RawValue,
    /// The binary arguments in base64, by their `num`.
    attachments: Vec<String>,
}

/// Writes an event for standard input, with a line end after it.
pub(super) fn input(event: &Event, connection: &Connection) -> Result<Vec<u8>, serde_json::Error> {
    let encode = |bytes| STANDARD.encode(bytes);
    let mut text = serde_json::to_vec(&Input {
        event: &event.name,
        namespace: &connection.namespace,
        socket: &connection.id,
        ack_wanted: event.ack_wanted,
        args: serde_json::from_str(&event.payload.json)?,
        attachments: event.payload.attachments.iter().map(encode).collect(),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Reads the ack of standard output: an array is the list of the ack's arguments, every other value its one argument.
/// Returns `None` if there is no output.
pub(super) fn ack(output: &[u8]) -> Result<Option<types::Payload>, CallError> {
    let text = output.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let value: &RawValue = serde_json::from_slice(text).map_err(|error| {
        CallError::BadAnswer(format!(
            "its output is no JSON ({error}); for an event it prints nothing, or one JSON value as the ack"
        ))
    })?;
    let is_list = value.get().starts_with('[');
    let json = if is_list {
        value.get().to_owned()
    } else {
        format!("[{value}]")
    };
    Ok(Some(types::Payload {
        json,
        attachments: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_an_ack_is_one_value_or_a_list_of_arguments() {
        let json = |output: &str| ack(output.as_bytes()).unwrap().map(|ack| ack.json);
        assert_eq!(json(" \n"), None);
        assert_eq!(json("{\"a\": 1}\n").as_deref(), Some("[{\"a\": 1}]"));
        assert_eq!(json("[1,2]").as_deref(), Some("[1,2]"));
        for output in ["hello", "1 2", "{"] {
            assert!(ack(output.as_bytes()).is_err(), "{output}");
        }
    }
}
