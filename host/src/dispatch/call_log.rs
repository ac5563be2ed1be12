//! Records calls: in the handler's counts how each ended and how long it ran, in the log what went wrong.

use std::fmt;
use std::time::{Instant, SystemTime};

use crate::message::{CallId, Door, Request};
use crate::metrics::{Answers, Metrics};
use crate::payload::Failure;
use crate::registry::{Ended, LastFailure, Served};
use crate::runtime::kinds::kind::CallKind;
use crate::runtime::{CallError, Outcome};
use crate::text::visible;

/// The most bytes that are kept of a message of a handler.
const MAX_KEPT: usize = 500;

/// A call that runs. It is counted when this value is dropped, as aborted unless it has ended before.
pub(super) struct Running<H: AsRef<Served>> {
    handler: H,
    kind: CallKind,
    began: Instant,
    ended: Ended,
}

impl<H: AsRef<Served>> Running<H> {
    pub(super) fn begin(handler: H, kind: CallKind) -> Self {
        Self {
            handler,
            kind,
            began: Instant::now(),
            ended: Ended::Aborted,
        }
    }

    pub(super) fn end<T>(mut self, outcome: &Outcome<T>) {
        self.ended = match outcome {
            Ok(Ok(_)) => Ended::Ok,
            Ok(Err(_)) => Ended::Failure,
            Err(error) => {
                log_busy(self.handler.as_ref(), self.kind, error);
                how(error)
            }
        };
    }
}

impl<H: AsRef<Served>> Drop for Running<H> {
    fn drop(&mut self) {
        let ran = self.began.elapsed();
        self.handler
            .as_ref()
            .calls
            .ended(self.kind, self.ended, ran);
    }
}

/// Returns the way in which a failed call ended, as the metrics have it.
fn how(error: &CallError) -> Ended {
    match error {
        CallError::Trap { .. } => Ended::Trap,
        CallError::OutOfMemory { .. } | CallError::NoMemory => Ended::Memory,
        CallError::Deadline(_) | CallError::StreamDeadline(_) => Ended::Deadline,
        CallError::Cpu(_) => Ended::Cpu,
        CallError::TooManyHandles { .. } => Ended::Handles,
        CallError::BadAnswer(_) => Ended::BadAnswer,
        CallError::NoInstance(_) | CallError::Overloaded => Ended::Overloaded,
        CallError::PoolBusy { .. } | CallError::InstanceBusy(_) => Ended::Busy,
        CallError::Host(_) => Ended::Internal,
    }
}

/// Returns the counts of the answers through a door.
pub(super) fn answer_counters(metrics: &Metrics, door: Door) -> &Answers {
    match door {
        Door::Http => &metrics.answers_http,
        Door::Socket => &metrics.answers_socket,
        Door::Dispatch => &metrics.answers_dispatch,
    }
}

/// Writes `GET /path` for the log, and says so if a handler dispatched the request. It is formatted only when it is
/// logged.
pub(super) struct RequestName<'a>(pub(super) &'a Request);

impl fmt::Display for RequestName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            method,
            target,
            door,
            ..
        } = self.0;
        write!(formatter, "{method} {}", target.path)?;
        match door {
            Door::Dispatch => formatter.write_str(" (dispatched)"),
            Door::Http | Door::Socket => Ok(()),
        }
    }
}

/// Counts a call that was not begun.
pub(super) fn turn_away(handler: &Served, kind: CallKind, error: &CallError) {
    handler.calls.turned_away(kind, how(error));
    log_busy(handler, kind, error);
}

/// Logs a call that got no instance, but only some of many such calls, because clients can cause as many as they like.
fn log_busy(handler: &Served, kind: CallKind, error: &CallError) {
    if how(error) == Ended::Busy
        && let Some(total) = handler.calls.busy.count()
    {
        tracing::warn!(
            handler = %visible(&handler.name),
            "{}: {error}; {total} such calls so far", kind.name
        );
    }
}

/// Returns true if an error is logged for each call. An overloaded server does not log every call that it turns away.
pub(super) fn is_logged(error: &CallError) -> bool {
    !matches!(
        error,
        CallError::Overloaded | CallError::PoolBusy { .. } | CallError::InstanceBusy(_)
    )
}

/// Logs a call that went wrong, and keeps it as the handler's last failure.
pub(super) fn log_call_error(
    handler: &Served,
    id: &CallId,
    what: &dyn fmt::Display,
    error: &CallError,
) {
    let (what, sentence) = (what.to_string(), error.to_string());
    tracing::error!(handler = %visible(&handler.name), call = %id, "{}: {}", visible(&what), visible(&sentence));
    keep_failure(handler, id, what, sentence);
}

/// Keeps a failure that a handler has returned as its last one, if it is the server's fault and not the client's. What
/// the handler has to say of it, it has logged.
pub(super) fn keep_returned(
    handler: &Served,
    id: &CallId,
    what: &dyn fmt::Display,
    failure: &Failure,
) {
    if failure.code < 500 {
        return;
    }
    let mut message = failure.message.clone();
    message.truncate(message.floor_char_boundary(MAX_KEPT));
    let sentence = format!("failed with {}: {message}", failure.code);
    keep_failure(handler, id, what.to_string(), sentence);
}

/// Keeps a call that went wrong as the handler's last failure.
pub(super) fn keep_failure(handler: &Served, id: &CallId, what: String, sentence: String) {
    handler.calls.failed(LastFailure {
        at: SystemTime::now(),
        what,
        sentence,
        id: id.to_string(),
    });
}

/// Logs a failure for which no client waits: of a hook or of a policy that ran afterwards.
pub(super) fn log_hook(
    handler: &Served,
    id: &CallId,
    what: &dyn fmt::Display,
    outcome: Outcome<()>,
) {
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            tracing::warn!(
                handler = %visible(&handler.name), call = %id,
                "{}: failed with {}: {}",
                visible(&what.to_string()), failure.code, visible(&failure.message)
            );
            keep_returned(handler, id, what, &failure);
        }
        Err(error) => log_call_error(handler, id, what, &error),
    }
}
