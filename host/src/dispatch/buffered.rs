//! Answers for doors that cannot stream: a request over a socket, and one that a handler dispatches. Their bodies are
//! collected, within the limit for answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;

use super::{Accepted, Dispatch, error_response};
use crate::message::{CollectError, Request, Response};
use crate::payload::Failure;
use crate::runtime::{CallContext, Dispatcher};

impl Dispatch {
    /// Answers a request that was accepted. A body that streams is collected.
    pub async fn request_whole(
        self: &Arc<Self>,
        request: Request,
        accepted: Accepted,
    ) -> Response<Bytes> {
        let context = CallContext::new(Arc::clone(&request.id), request.remote);
        self.exchange_buffered(request, &context, accepted).await
    }

    async fn exchange_buffered(
        self: &Arc<Self>,
        request: Request,
        context: &CallContext,
        accepted: Accepted,
    ) -> Response<Bytes> {
        let (under_way, response) = self.answer(request, context).await;
        let response = self
            .collect_body(response, &under_way.exchange.request)
            .await;
        self.hand_over(under_way, response, accepted)
    }

    /// Collects the body of an answer. The body of an answer to HEAD is empty, which these doors do not arrange by
    /// themselves.
    async fn collect_body(&self, response: Response, request: &Request) -> Response<Bytes> {
        let (head, body) = response.parted();
        if request.method == Method::HEAD {
            return head.with(Bytes::new());
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
        };
        Box::pin(async move {
            self.exchange_buffered(request, &context, self.work.token())
                .await
        })
    }
}
