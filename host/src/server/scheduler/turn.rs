//! Which of several servers runs a schedule.

use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};

/// The name of a schedule among all that a server has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::server) struct ScheduleKey {
    /// The path of the handler's file below the folder.
    pub(in crate::server) handler: Arc<str>,
    /// The name that the handler declared.
    pub(in crate::server) name: Arc<str>,
}

impl fmt::Display for ScheduleKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "schedule {} of {}", self.name, self.handler)
    }
}

/// Decides which of several servers runs a schedule at one of its times.
///
/// All servers of a cluster agree on the times, because they depend on nothing but the spec. A lock by schedule and
/// time therefore gives each time to one server.
pub(super) trait Turn: Send + Sync + 'static {
    /// Returns true for at most one caller with the same schedule and time. `due` is in milliseconds since the Unix
    /// epoch. A caller that does not get an answer in time does not run the schedule.
    fn take(&self, schedule: &ScheduleKey, due: u64) -> BoxFuture<'_, bool>;
}

/// A server alone, which runs everything.
pub(super) struct Alone;

impl Turn for Alone {
    fn take(&self, _: &ScheduleKey, _: u64) -> BoxFuture<'_, bool> {
        Box::pin(ready(true))
    }
}
