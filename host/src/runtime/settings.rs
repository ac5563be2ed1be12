//! Everything that an operator may set for one handler.
//!
//! The folder `config` merges `[limits]`, the sidecar and `[handler.NAME]` into one TOML table, which is deserialised
//! straight into [`HandlerSettings`]. A new setting per handler is a field here and a row of `config/keys.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// The settings of one handler.
///
/// Read from TOML with keys in kebab case, shown to operators as JSON in camel case with times in milliseconds. A
/// reload compares two of them as a whole to decide whether a handler's settings changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all(serialize = "camelCase", deserialize = "kebab-case"),
    deny_unknown_fields
)]
pub struct HandlerSettings {
    /// Bytes of linear memory that a guest may use in one call, all its memories together.
    pub memory: usize,
    /// Wall time from the start of a call to its end.
    #[serde(rename(serialize = "deadlineMs"), serialize_with = "as_millis")]
    pub deadline: Duration,
    /// Wall time from the start of a call to the end of an answer that streams. It holds once the head is there, and never
    /// ends a call before its `deadline`.
    #[serde(rename(serialize = "streamDeadlineMs"), serialize_with = "as_millis")]
    pub stream_deadline: Duration,
    /// Processor time that a call may use; waiting does not count.
    #[serde(rename(serialize = "cpuMs"), serialize_with = "as_millis")]
    pub cpu: Duration,
    /// Calls of this handler that may run at the same time.
    pub concurrency: usize,
    /// Events that a call may emit, to one client or to many.
    pub emits_per_call: u32,
    /// Bytes that a call may emit in all.
    pub emit_bytes_per_call: usize,
    /// Requests that a call may send to other routes of this server.
    pub dispatches_per_call: u32,
}

#[cfg(test)]
impl Default for HandlerSettings {
    /// Makes settings for unit tests, which cannot reach the table of keys.
    fn default() -> Self {
        Self {
            memory: 1 << 20,
            deadline: Duration::from_secs(10),
            stream_deadline: Duration::from_secs(10),
            cpu: Duration::from_millis(20),
            concurrency: 1,
            emits_per_call: 0,
            emit_bytes_per_call: 0,
            dispatches_per_call: 0,
        }
    }
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
