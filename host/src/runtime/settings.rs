//! Everything that an operator may set for one handler.
//!
//! The folder `config` merges `[limits]`, the sidecar and `[handler.NAME]` into one TOML table, which is deserialised
//! straight into [`HandlerSettings`]. A new setting per handler is a field here and a row of `config/keys.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::capabilities::OutboundEntry;
use super::secrets::Secrets;
use crate::timetable::{Timetable, TimetableError};

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
    /// Wall time from the start of a call to the end of an answer that streams. It holds once the head is there, and
    /// never ends a call before its `deadline`.
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
    /// Values that the handler reads by their keys. Anybody who sees the settings sees them.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Secrets that the handler reads in the same way. The settings name them; their values come from the operator's
    /// environment and are shown nowhere.
    #[serde(default)]
    pub secrets: Secrets,
    /// Operations on keys of buckets that a call may make.
    pub kv_ops_per_call: u32,
    /// The name of the handler's own bucket. `None` stands for the path of its file without `.wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Other buckets that the handler may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, BucketAccess>,
    /// The servers that the handler may call.
    pub outbound: Vec<OutboundEntry>,
    /// Requests that a call may send to other servers.
    pub outbound_per_call: u32,
    /// Requests of a call to other servers that may be under way at the same time.
    pub outbound_parallel: usize,
    /// Bytes of the body of a request to another server, and of the response's body.
    pub outbound_bytes: usize,
    /// Time of a request to another server, until its response has been received.
    #[serde(rename(serialize = "outboundTimeMs"), serialize_with = "as_millis")]
    pub outbound_time: Duration,
    /// Times of schedules, by the name of the schedule, instead of those that the handler declares.
    #[serde(default)]
    pub schedules: BTreeMap<String, ScheduleSetting>,
    /// What the file is called by.
    pub serve: Serve,
    /// How long an instance of the handler lives.
    pub instances: Life,
    /// Time without a call after which an instance that lives longer than a call is ended.
    #[serde(rename(serialize = "idleMs"), serialize_with = "as_millis")]
    pub idle: Duration,
    /// Calls after which such an instance is ended. `None` stands for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// Instances of the pool with [`Life::Shared`]. `None` stands for as many as calls may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<usize>,
    /// The events that a command answers: each the name of an event, or a namespace, a space and a name.
    pub events: Vec<String>,
}

impl HandlerSettings {
    /// Makes settings with which a guest can compute in `memory` bytes and use nothing else.
    pub(super) fn computing(memory: usize) -> Self {
        Self {
            memory,
            deadline: Duration::from_secs(10),
            stream_deadline: Duration::from_secs(10),
            cpu: Duration::from_secs(1),
            concurrency: 1,
            emits_per_call: 0,
            emit_bytes_per_call: 0,
            dispatches_per_call: 0,
            outbound: Vec::new(),
            outbound_per_call: 0,
            outbound_parallel: 0,
            outbound_bytes: 0,
            outbound_time: Duration::ZERO,
            schedules: BTreeMap::new(),
            config: BTreeMap::new(),
            secrets: Secrets::default(),
            kv_ops_per_call: 0,
            bucket: None,
            buckets: BTreeMap::new(),
            serve: Serve::Exports,
            instances: Life::Call,
            idle: Duration::from_secs(60),
            max_calls: None,
            max_instances: None,
            events: Vec::new(),
        }
    }

    /// Returns the number of calls that may run at the same time: no more than there are instances for.
    pub fn parallel_calls(&self) -> usize {
        match (self.instances, self.max_instances) {
            (Life::Shared, Some(instances)) => instances.min(self.concurrency),
            _ => self.concurrency,
        }
    }

    /// Returns the number of instances of a pool that bounds the calls before `concurrency` does.
    pub fn narrow_pool(&self) -> Option<usize> {
        let instances = self.max_instances?;
        (self.instances == Life::Shared && instances < self.concurrency).then_some(instances)
    }
}

/// The operator's setting for one schedule. As text it is `off` or a timetable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ScheduleSetting {
    /// The schedule does not run.
    Off,
    /// The schedule runs at these times.
    Times(Timetable),
}

impl FromStr for ScheduleSetting {
    type Err = TimetableError;

    fn from_str(text: &str) -> Result<Self, TimetableError> {
        if text.trim() == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::Times)
    }
}

impl TryFrom<String> for ScheduleSetting {
    type Error = TimetableError;

    fn try_from(text: String) -> Result<Self, TimetableError> {
        text.parse()
    }
}

impl From<ScheduleSetting> for String {
    fn from(setting: ScheduleSetting) -> Self {
        setting.to_string()
    }
}

impl fmt::Display for ScheduleSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::Times(times) => times.fmt(formatter),
        }
    }
}

/// What a handler may do with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BucketAccess {
    /// The handler may read and list keys.
    Read,
    /// The handler may also change keys.
    ReadWrite,
}

/// What the file of a handler is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serve {
    /// The functions that it exports.
    #[default]
    Exports,
    /// The variables of the Common Gateway Interface, standard input and standard output, because it is a command.
    Cgi,
}

/// How long an instance of a handler lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Every call has an instance of its own.
    #[default]
    Call,
    /// The events and hooks of a connection to a namespace have one instance. Other calls have one each.
    Socket,
    /// Calls of all clients have the instances of one pool, one call at a time in each.
    Shared,
}

impl fmt::Display for Life {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Call => "call",
            Self::Socket => "socket",
            Self::Shared => "shared",
        })
    }
}

#[cfg(test)]
impl Default for HandlerSettings {
    /// Makes settings for unit tests, which cannot reach the table of keys.
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(20),
            ..Self::computing(1 << 20)
        }
    }
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
