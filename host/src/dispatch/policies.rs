//! Policies: those that run before the answer, of which the first that gives one is heard, and those that run after it.

use std::sync::Arc;

use super::answer::error_response;
use super::answer_space::AnswerSpace;
use super::call_log::{RequestName, Running, log_hook};
use super::{Accepted, Dispatch, answer_bytes, client_result};
use crate::message::{Exchange, Response};
use crate::registry::{Entry, Table};
use crate::runtime::CallContext;
use crate::runtime::kinds::policy::{self, Stage};

impl Dispatch {
    /// Returns the answer of the first policy that gives one or fails.
    pub(super) async fn before(
        &self,
        table: &Table,
        exchange: &Arc<Exchange>,
        context: &CallContext,
        mut space: Option<&mut AnswerSpace>,
    ) -> Option<Response> {
        let request = &exchange.request;
        for Entry { handler, index } in
            table.policies(Stage::Before, &request.method, &request.target.path)
        {
            if let Some(space) = &mut space {
                let sizes = &handler.policy_answers;
                space.expect_answer(sizes, *index, self.answer_limit).await;
            }
            let outcome = self
                .call(handler, policy::BEFORE, context, |context| {
                    handler.on_before(context, *index, Arc::clone(exchange))
                })
                .await;
            handler.policy_answers.note(*index, answer_bytes(&outcome));
            match client_result(handler, context, &RequestName(request), outcome) {
                Ok(None) => {}
                Ok(Some(response)) => return Some(response),
                Err(failure) => return Some(error_response(&request.id, &failure).into()),
            }
        }
        None
    }

    /// Runs the policies of the stage `after`, once the answer has been handed to its door.
    pub(super) fn run_after_policies(
        self: &Arc<Self>,
        table: &Table,
        exchange: Arc<Exchange>,
        status: u16,
        accepted: Accepted,
    ) {
        let request = &exchange.request;
        let entries: Vec<Entry> = table
            .policies(Stage::After, &request.method, &request.target.path)
            .cloned()
            .collect();
        if entries.is_empty() {
            return;
        }
        let dispatch = Arc::clone(self);
        tokio::spawn(async move {
            let _accepted = accepted;
            let request = &exchange.request;
            for Entry { handler, index } in entries {
                let _permits = dispatch.gate.enter_patiently(&handler.permits).await;
                let context = CallContext::new(Arc::clone(&request.id), request.remote);
                let running = Running::begin(&handler, policy::AFTER);
                let outcome = handler
                    .on_after(context, index, Arc::clone(&exchange), status)
                    .await;
                running.end(&outcome);
                log_hook(
                    &handler,
                    &request.id,
                    &format_args!("after {}", RequestName(request)),
                    outcome,
                );
            }
        });
    }
}
