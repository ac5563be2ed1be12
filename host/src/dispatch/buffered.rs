//! Answers for doors that cannot stream: a request over a socket, and one that a handler dispatches. Their bodies are
//! collected, within the limit for answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;

use super::{Accepted, AnswerSpace, Dispatch, error_response};
use crate::message::{Body, CollectError, Request, Response};
use crate::payload::Failure;
use crate::runtime::{CallContext, Dispatcher};

impl Dispatch {
    /// Answers a request that was accepted. A body that streams is collected, once there is space for it.
    pub async fn request_whole(
        self: &Arc<Self>,
        request: Request,
        accepted: Accepted,
        space: &mut AnswerSpace,
    ) -> Response<Bytes> {
        let context = self.context(&request.id, request.remote);
        self.exchange_buffered(request, &context, accepted, Some(space))
            .await
    }

    async fn exchange_buffered(
        self: &Arc<Self>,
        request: Request,
        context: &CallContext,
        accepted: Accepted,
        mut space: Option<&mut AnswerSpace>,
    ) -> Response<Bytes> {
        let answer = self.answer(request, context, space.as_deref_mut());
        let (under_way, response) = answer.await;
        let response = self
            .collect_body(response, &under_way.exchange.request, space)
            .await;
        self.hand_over(under_way, response, accepted)
    }

    /// Collects the body of an answer. The body of an answer to HEAD is empty, which these doors do not arrange by
    /// themselves.
    async fn collect_body(
        &self,
        response: Response,
        request: &Request,
        space: Option<&mut AnswerSpace>,
    ) -> Response<Bytes> {
        let (head, body) = response.parted();
        if request.method == Method::HEAD {
            return head.with(Bytes::new());
        }
        if let Some(space) = space {
            match length_to_collect(&body, self.answer_limit) {
                None => space.hold(body.in_memory()),
                Some(length) => {
                    if let Err(gone) = space.wait_for(length).await {
                        return error_response(&request.id, &gone.failure());
                    }
                    space.hold(length);
                }
            }
        }
        match body.collect(self.answer_limit).await {
            Ok(body) => head.with(body),
            Err(error) => {
                tracing::warn!(
                    call = %request.id,
                    "{} {:?}: the answer is not passed on: {error}", request.method, request.target.path
                );
                error_response(&request.id, &collect_failure(&error))
            }
        }
    }
}

/// Returns the bytes that have to be collected, at most `limit`; none for a body that is in memory.
fn length_to_collect(body: &Body, limit: usize) -> Option<u64> {
    let limit = limit as u64;
    match body {
        Body::Full(_) => None,
        Body::Stream(pieces) => Some(pieces.length().unwrap_or(limit).min(limit)),
    }
}

fn collect_failure(error: &CollectError) -> Failure {
    match error {
        CollectError::TooLarge(limit) => Failure::new(
            502,
            format!(
                "the answer has more than {limit} bytes (server.answer-limit); ask for it over HTTP, where it streams"
            ),
        ),
        CollectError::Broken(_) => Failure::new(502, "the answer broke off"),
    }
}

impl Dispatcher for Arc<Dispatch> {
    fn dispatch(
        &self,
        request: Request,
        depth: u32,
        remaining: Duration,
    ) -> BoxFuture<'_, Response<Bytes>> {
        let context = CallContext {
            id: Arc::clone(&request.id),
            until: Some(Instant::now() + remaining),
            depth,
            remote: request.remote,
            last_error: self.last_error(),
        };
        Box::pin(async move {
            self.exchange_buffered(request, &context, self.work.token(), None)
                .await
        })
    }
}
