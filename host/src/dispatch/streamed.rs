//! Answers of components of `wasi:http`, which are sent while the guest writes them.
//!
//! A call runs where its request is read until the head of its answer is there. If the call is over by then, as most
//! are, its answer is in memory. Else a task runs the rest of the call: the body of the answer ends that task when it
//! is dropped, because then the client has gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use futures_util::future::{BoxFuture, pending};
use futures_util::{Stream, StreamExt, stream};
use http::Method;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::admission::refuse;
use super::answer::error_response;
use super::call_log::{RequestName, Running, is_logged, log_call_error};
use super::gate::Permits;
use super::{Accepted, Dispatch, UnderWay, failure_of};
use crate::message::{Body, Exchange, Piece, Pieces, Request, Response, Upload};
use crate::metrics::Metrics;
use crate::registry::{Served, Table};
use crate::runtime::kinds::route;
use crate::runtime::{CallContext, CallError, Head, Incoming};
use crate::text::visible;

/// The longest time for which a guest may write the body of an answer to HEAD, which nobody gets.
const UNSENT: Duration = Duration::from_secs(1);

/// A call of a component of `wasi:http`, with all that belongs to it.
struct StreamCall {
    handler: Arc<Served>,
    exchange: Arc<Exchange>,
    call: BoxFuture<'static, Result<(), CallError>>,
    running: Running<Arc<Served>>,
    /// True if another handler sent the request. Such a call runs within the permit of its caller.
    is_dispatched: bool,
    _permits: Option<Permits>,
}

impl Dispatch {
    /// Returns how many answers are streamed now by their handlers.
    pub fn streams(&self) -> usize {
        self.streams.running()
    }

    /// Ends the answers that are streamed.
    pub fn end_streams(&self) {
        self.streams.end();
    }

    /// Returns the table if it has a request with a body answered by a handler that reads the body while it arrives.
    /// The request is then answered by [`Dispatch::request_arriving`].
    pub fn table_of_arriving(&self, method: &Method, path: &str) -> Option<Arc<Table>> {
        let table = self.registry.table();
        table.streams(method, path).then_some(table)
    }

    /// Answers a request whose body arrives while it is answered, by the table that said so.
    pub async fn request_arriving(
        self: &Arc<Self>,
        request: Request,
        (table, upload): (Arc<Table>, Upload),
        accepted: Accepted,
    ) -> Response {
        let context = self.context(&request.id, request.remote);
        let exchange = Arc::new(Exchange::new(request));
        let response = match refuse(&table, &exchange) {
            Some(refused) => refused,
            None => {
                let route = self.route(&table, &exchange, &context, None, Some(upload));
                route.await
            }
        };
        self.deliver((UnderWay { table, exchange }, response), accepted)
    }

    /// Answers a request with a component of `wasi:http`. A body that arrives meanwhile is its `upload`.
    pub(super) async fn stream(
        &self,
        handler: Arc<Served>,
        exchange: &Arc<Exchange>,
        context: &CallContext,
        upload: Option<Upload>,
    ) -> Response {
        let id = &exchange.request.id;
        let broken = upload.as_ref().map(|upload| Arc::clone(&upload.failure));
        let begun = self.begin_stream(&handler, exchange, context, upload);
        let error = match begun.await {
            Ok(response) => return response,
            Err(error) => error,
        };
        // A guest whose request broke off may fail because of that, which is not its fault.
        if let Some(failure) = broken.as_ref().and_then(|broken| broken.get()) {
            return error_response(id, failure).into();
        }
        log(&handler, exchange, &error);
        error_response(id, &failure_of(context, &error)).into()
    }

    /// Runs a call until the head of its answer is there.
    async fn begin_stream(
        &self,
        handler: &Arc<Served>,
        exchange: &Arc<Exchange>,
        context: &CallContext,
        upload: Option<Upload>,
    ) -> Head {
        let permits = match context.depth {
            0 => Some(self.enter(handler, route::REQUEST).await?),
            _ => None,
        };
        let (answer, mut head) = oneshot::channel();
        let incoming = Incoming {
            exchange: Arc::clone(exchange),
            upload,
        };
        let mut stream = StreamCall {
            running: Running::begin(Arc::clone(handler), route::REQUEST),
            call: call(Arc::clone(handler), context.clone(), incoming, answer),
            handler: Arc::clone(handler),
            exchange: Arc::clone(exchange),
            is_dispatched: context.depth > 0,
            _permits: permits,
        };
        let begun = tokio::select! {
            biased;
            ended = &mut stream.call => {
                let head = head.try_recv().unwrap_or_else(|_| Err(no_answer()));
                return stream.whole(ended, head);
            }
            begun = &mut head => begun.unwrap_or_else(|_| Err(no_answer())),
        };
        match begun {
            Ok(response) => Ok(self.stream_on(stream, response)),
            Err(error) => Err(stream.fail(error)),
        }
    }

    /// Lets a task run the rest of a call, and returns its answer.
    fn stream_on(&self, stream: StreamCall, response: Response) -> Response {
        let is_head = stream.exchange.request.method == Method::HEAD;
        let (head, body) = response.parted();
        let (taken, is_taken) = oneshot::channel();
        match body {
            Body::Full(bytes) => {
                drop(taken);
                self.run_stream(stream, None, is_taken);
                head.with(Body::Full(bytes))
            }
            Body::Stream(pieces) if is_head => {
                let unsent = unsent(pieces.length());
                drop(taken);
                self.run_stream(stream, Some(pieces), is_taken);
                head.with(unsent)
            }
            Body::Stream(pieces) => {
                let length = pieces.length();
                let task = self.run_stream(stream, None, is_taken);
                let sent = SentStream {
                    pieces,
                    left: length,
                    task: Some(task),
                    _taken: taken,
                };
                head.with(Body::Stream(Pieces::with_trailers(length, sent)))
            }
        }
    }

    /// Spawns the task that runs the rest of a call. Nobody gets the pieces that are `unsent`. The other end of
    /// `is_taken` is dropped together with the body.
    fn run_stream(
        &self,
        stream: StreamCall,
        unsent: Option<Pieces>,
        is_taken: oneshot::Receiver<()>,
    ) -> AbortHandle {
        let end = self.streams.end_of(Arc::clone(&stream.handler));
        let guard = self.streams.count();
        self.metrics.streams.one();
        let metrics = Arc::clone(&self.metrics);
        let task = self.work.spawn(async move {
            let _guard = guard;
            stream.run(unsent, is_taken, end, &metrics).await;
        });
        task.abort_handle()
    }
}

impl StreamCall {
    /// Returns the answer of a call that is over.
    fn whole(self, ended: Result<(), CallError>, head: Head) -> Head {
        let is_head = self.exchange.request.method == Method::HEAD;
        let answer = head.and_then(|response| match response.body {
            Body::Stream(ref pieces) if is_head && pieces.length().is_some() => {
                let unsent = unsent(pieces.length());
                Ok(response.parted().0.with(unsent))
            }
            _ => gathered(response),
        });
        match (ended, answer) {
            (Ok(()), Ok(response)) => {
                self.running.end(&Ok(Ok(())));
                Ok(response)
            }
            (Ok(()), Err(error)) => Err(self.fail(error)),
            // The guest has finished its answer before it went wrong, so the answer stands.
            (Err(error), Ok(response)) => {
                log(&self.handler, &self.exchange, &error);
                self.fail(error);
                Ok(response)
            }
            (Err(error), Err(_)) => Err(self.fail(error)),
        }
    }

    /// Counts the call as one that went wrong.
    fn fail(self, error: CallError) -> CallError {
        let outcome = Err(error);
        self.running.end::<()>(&outcome);
        match outcome {
            Err(error) => error,
            Ok(_) => no_answer(),
        }
    }

    /// Runs the rest of the call, until its end or until it has to `end`.
    async fn run(
        mut self,
        unsent: Option<Pieces>,
        is_taken: oneshot::Receiver<()>,
        end: impl Future<Output = &'static str>,
        metrics: &Metrics,
    ) {
        let is_dispatched = self.is_dispatched;
        // A dispatched call has no permit of its own. It ends with its answer, while its caller still has one.
        let over = async {
            if !is_dispatched {
                pending::<()>().await;
            }
            let _ = is_taken.await;
        };
        let dropped = async {
            let Some(mut pieces) = unsent else {
                return pending().await;
            };
            let drain = async { while pieces.next().await.is_some() {} };
            if tokio::time::timeout(UNSENT, drain).await.is_ok() {
                // The guest has finished the body, and may go on working.
                pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            biased;
            ended = &mut self.call => ended,
            () = over => Ok(()),
            () = dropped => return,
            reason = end => {
                metrics.streams_ended.one();
                let request = &self.exchange.request;
                tracing::info!(
                    handler = %visible(&self.handler.name), call = %request.id,
                    "{}: its answer was broken off, because {reason}", RequestName(request)
                );
                return;
            }
        };
        if let Err(error) = &ended {
            log(&self.handler, &self.exchange, error);
        }
        self.running.end(&ended.map(Ok));
    }
}

/// Makes the call of a guest as a future that owns all that it needs.
fn call(
    handler: Arc<Served>,
    context: CallContext,
    incoming: Incoming,
    answer: oneshot::Sender<Head>,
) -> BoxFuture<'static, Result<(), CallError>> {
    Box::pin(async move { handler.on_incoming(context, incoming, answer).await })
}

fn no_answer() -> CallError {
    CallError::BadAnswer("the guest has ended without setting an answer".to_owned())
}

/// Takes the body of a call that is over into memory.
fn gathered(response: Response) -> Head {
    let (head, body) = response.parted();
    let body = match body {
        Body::Full(bytes) => Body::Full(bytes),
        Body::Stream(pieces) => pieces.gathered().map_err(|_| {
            CallError::BadAnswer(
                "the guest has ended without finishing the body of its answer".to_owned(),
            )
        })?,
    };
    Ok(head.with(body))
}

/// Returns the body of an answer to HEAD.
fn unsent(length: Option<u64>) -> Body {
    let none = || Pieces::new(None, stream::empty());
    Body::Stream(length.map_or_else(none, Pieces::unsent))
}

fn log(handler: &Served, exchange: &Exchange, error: &CallError) {
    if is_logged(error) {
        let request = &exchange.request;
        log_call_error(handler, &request.id, &RequestName(request), error);
    }
}

/// The body of an answer whose call is run by a task.
struct SentStream {
    pieces: Pieces,
    /// Bytes that are still to be sent, if the length is known.
    left: Option<u64>,
    /// The task, until the whole body was taken. What the guest does after that is its own affair.
    task: Option<AbortHandle>,
    /// Dropped with the body, which ends a dispatched call.
    _taken: oneshot::Sender<()>,
}

impl Stream for SentStream {
    type Item = io::Result<Piece>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.pieces.poll_next_unpin(context));
        if let (Some(Ok(Piece::Data(bytes))), Some(left)) = (&piece, self.left) {
            self.left = Some(left.saturating_sub(bytes.len() as u64));
        }
        // hyper does not ask for the end of a body of known length.
        if piece.is_none() || self.left == Some(0) {
            self.task = None;
        }
        Poll::Ready(piece)
    }
}

impl Drop for SentStream {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
