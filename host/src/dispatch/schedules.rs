//! Schedules: how one is called when its time has come.

use std::sync::Arc;

use super::Dispatch;
use super::answer::Refusal;
use super::call_log::{is_logged, keep_failure, keep_returned};
use crate::message::CallId;
use crate::registry::Entry;
use crate::runtime::CallContext;
use crate::runtime::kinds::schedule::SCHEDULE;

/// What became of a schedule whose time had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleRun {
    /// It ran and succeeded.
    Done,
    /// It was not called, because the server accepts nothing at the moment.
    Refused(Refusal),
    /// It ran and failed, or too many calls were running. Nobody has logged it.
    Failed(ScheduleFailure),
}

/// The failure of a schedule. Whoever runs schedules logs it, because one that fails each time must not fill the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleFailure {
    /// The id of the call.
    pub id: CallId,
    /// The cause, as a sentence for the log.
    pub sentence: String,
    /// True if the handler or the server is at fault. False for a failure that the guest returned.
    pub is_fault: bool,
}

impl Dispatch {
    /// Calls a schedule, by its entry. `name` is its name, `due` the time at which it is due, in milliseconds since the
    /// Unix epoch. Shutting down waits for the call.
    pub async fn schedule(&self, entry: &Entry, name: &str, due: u64) -> ScheduleRun {
        let _accepted = match self.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return ScheduleRun::Refused(refusal),
        };
        let Entry { handler, index } = entry;
        let id = self.next_id();
        let context = CallContext::without_client(Arc::clone(&id));
        let call = |context| handler.on_schedule(context, *index, due);
        let (sentence, is_fault) = match self.call(handler, SCHEDULE, &context, call).await {
            Ok(Ok(())) => return ScheduleRun::Done,
            Ok(Err(failure)) => {
                keep_returned(handler, &id, &format_args!("schedule {name}"), &failure);
                let sentence = format!("failed with {}: {}", failure.code, failure.message);
                (sentence, false)
            }
            Err(error) => {
                let sentence = error.to_string();
                if is_logged(&error) {
                    keep_failure(handler, &id, format!("schedule {name}"), sentence.clone());
                }
                (sentence, true)
            }
        };
        ScheduleRun::Failed(ScheduleFailure {
            id,
            sentence,
            is_fault,
        })
    }
}
