//! Takes requests and events from the doors, finds the policies, the route, the file, the listeners or the hooks, takes
//! a permit, calls the handler, and makes an answer of its outcome.
//!
//! Every request and every event that was accepted gets exactly one answer here. The doors refuse the rest.

mod admission;
mod answer;
mod answer_space;
mod buffered;
mod call_log;
mod events;
mod files;
mod gate;
mod ids;
mod policies;
mod schedules;
mod streamed;
mod streams;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, header};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use self::answer::{Refusal, ack_of_failure, error_response, with_id};
pub use self::answer_space::AnswerSpace;
pub use self::files::Files;
pub use self::gate::{GateSettings, Load};
pub use self::schedules::{ScheduleFailure, ScheduleRun};

use self::admission::{admit, readiness_of, refuse};
use self::answer::{allow_header, of_call_error, options_response};
use self::call_log::{
    RequestName, Running, answer_counters, is_logged, keep_returned, log_call_error, turn_away,
};
use self::gate::{Gate, Permits, TurnedAway};
use self::ids::Ids;
use self::streams::Streams;
use crate::cluster::Cluster;
use crate::message::{Body, CallId, Door, Exchange, Request, Response, Upload};
use crate::metrics::Metrics;
use crate::payload::Failure;
use crate::registry::{Entry, Matched, Registry, Served, Table};
use crate::runtime::kinds::kind::CallKind;
use crate::runtime::kinds::route;
use crate::runtime::{CallContext, CallError, LastError, Outcome};

/// The bounds of what is answered, and what clients are told.
pub struct DispatchSettings {
    /// The bounds on calls.
    pub gate: GateSettings,
    /// Largest size, in bytes, of a body that is collected for a door that cannot stream.
    pub answer_limit: usize,
    /// How long an answer that streams may go on once its handler was replaced.
    pub grace: Duration,
    /// True if the answers of failed calls say what went wrong inside.
    pub tells_details: bool,
}

/// Calls handlers on behalf of the doors.
pub struct Dispatch {
    registry: Arc<Registry>,
    files: Box<dyn Files>,
    /// Largest size, in bytes, of a body that is collected for a door that cannot stream.
    answer_limit: usize,
    gate: Gate,
    streams: Streams,
    ids: Ids,
    metrics: Arc<Metrics>,
    /// The other nodes, if this node is one of several.
    cluster: Option<Arc<Cluster>>,
    /// Requests, connects and events that were accepted and have not been answered yet.
    work: TaskTracker,
    draining: AtomicBool,
    tells_details: bool,
}

/// A request, connect or event that was accepted. Shutting down waits until it is dropped.
pub type Accepted = TaskTrackerToken;

/// A request that was answered, and whose answer has not been handed to its door yet.
struct UnderWay {
    table: Arc<Table>,
    exchange: Arc<Exchange>,
}

impl Dispatch {
    /// Makes a dispatch that answers with the handlers of `registry` and, where no route matches, with `files`, and that
    /// counts in `metrics`. It accepts nothing while Redis is awaited.
    pub fn new(
        registry: Arc<Registry>,
        files: Box<dyn Files>,
        settings: DispatchSettings,
        cluster: Option<Arc<Cluster>>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            files,
            answer_limit: settings.answer_limit,
            gate: Gate::new(settings.gate),
            streams: Streams::new(settings.grace),
            ids: Ids::new(),
            metrics,
            cluster,
            work: TaskTracker::new(),
            draining: AtomicBool::new(false),
            tells_details: settings.tells_details,
        })
    }

    /// Makes the context of a call that is not nested in another.
    fn context(&self, id: &CallId, remote: SocketAddr) -> CallContext {
        CallContext {
            last_error: self.last_error(),
            ..CallContext::new(Arc::clone(id), remote)
        }
    }

    /// Returns the place of the last error of a call, if clients are told details.
    fn last_error(&self) -> Option<LastError> {
        self.tells_details.then(LastError::default)
    }

    /// Returns an id that no other call of this process has. The log shows it, and answers carry it as
    /// `x-request-id`.
    pub fn next_id(&self) -> CallId {
        self.ids.next()
    }

    /// Accepts work, or says why not.
    pub fn accept(&self) -> Result<Accepted, Refusal> {
        // The token is taken before `draining` is read. Otherwise `drain` could miss this work.
        let accepted = self.work.token();
        self.readiness()?;
        Ok(accepted)
    }

    /// Accepts a request over HTTP, or says why not. While the folder is read for the first time, those are accepted
    /// whose route is ready.
    pub fn accept_request(&self, method: &Method, path: &str) -> Result<Accepted, Refusal> {
        let accepted = self.work.token();
        self.openness()?;
        admit(&self.registry.table(), method, path).map(|()| accepted)
    }

    /// Fails if something that came now would not be accepted.
    pub fn readiness(&self) -> Result<(), Refusal> {
        self.openness()?;
        readiness_of(&self.registry.table())
    }

    /// Fails if nothing new may come, whatever the table has.
    pub fn openness(&self) -> Result<(), Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        if self.cluster.as_ref().is_some_and(|it| it.is_awaited()) {
            return Err(Refusal::Waiting);
        }
        Ok(())
    }

    /// Returns the numbers of calls that run and wait.
    pub fn load(&self) -> Load {
        self.gate.load()
    }

    /// Counts an answer that a door gave by itself.
    pub fn answered(&self, door: Door, status: u16) {
        answer_counters(&self.metrics, door).one(status);
    }

    /// Accepts nothing new from now on, and returns when everything that was accepted has been answered.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
    }

    /// Returns true if nothing new is accepted, because the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Answers a request that was accepted. A body that streams counts as work until it has been sent.
    pub async fn request(self: &Arc<Self>, request: Request, accepted: Accepted) -> Response {
        let context = self.context(&request.id, request.remote);
        let answer = self.answer(request, &context, None).await;
        self.deliver(answer, accepted)
    }

    /// Hands an answer to a door that can stream.
    fn deliver(
        self: &Arc<Self>,
        (under_way, mut response): (UnderWay, Response),
        accepted: Accepted,
    ) -> Response {
        if let Body::Stream(_) = response.body {
            response.body = response.body.keeping(accepted.clone());
        }
        self.hand_over(under_way, response, accepted)
    }

    /// Runs the policies, and then the route or the file.
    async fn answer(
        &self,
        request: Request,
        context: &CallContext,
        mut space: Option<&mut AnswerSpace>,
    ) -> (UnderWay, Response) {
        let (table, exchange) = (self.registry.table(), Arc::new(Exchange::new(request)));
        if let Some(refused) = refuse(&table, &exchange) {
            return (UnderWay { table, exchange }, refused);
        }
        let before = self.before(&table, &exchange, context, space.as_deref_mut());
        let response = match before.await {
            Some(response) => response,
            None => self.route(&table, &exchange, context, space, None).await,
        };
        (UnderWay { table, exchange }, response)
    }

    /// Adds the call's id and the headers that handlers added, counts the answer, and starts the policies that run
    /// after it.
    fn hand_over<B>(
        self: &Arc<Self>,
        UnderWay { table, exchange }: UnderWay,
        mut response: Response<B>,
        accepted: Accepted,
    ) -> Response<B> {
        for (name, value) in &exchange.added_headers() {
            response.headers.append(name.clone(), value.clone());
        }
        let response = with_id(response, &exchange.request.id);
        answer_counters(&self.metrics, exchange.request.door).one(response.status.as_u16());
        self.run_after_policies(&table, exchange, response.status.as_u16(), accepted);
        response
    }

    async fn route(
        &self,
        table: &Table,
        exchange: &Arc<Exchange>,
        context: &CallContext,
        space: Option<&mut AnswerSpace>,
        upload: Option<Upload>,
    ) -> Response {
        let request = &exchange.request;
        let matched = table.matched(&request.method, &request.target.path);
        let is_named = matches!(&matched, Matched::Route(entry, _) if !entry.is_catch_all());
        if !is_named && let Some(response) = files::answer(&*self.files, exchange).await {
            return response;
        }
        match matched {
            Matched::Route(Entry { handler, index }, params) => {
                if let Some(space) = space {
                    let sizes = &handler.route_answers;
                    space.expect_answer(sizes, index, self.answer_limit).await;
                }
                if handler.is_wasi_http() {
                    return self.stream(handler, exchange, context, upload).await;
                }
                let call =
                    |context| handler.on_request(context, index, Arc::clone(exchange), params);
                let outcome = self.call(&handler, route::REQUEST, context, call).await;
                handler.route_answers.note(index, answer_bytes(&outcome));
                let answer = client_result(&handler, context, &RequestName(request), outcome);
                answer.unwrap_or_else(|failure| error_response(&request.id, &failure).into())
            }
            Matched::OtherMethods(methods) if request.method == Method::OPTIONS => {
                options_response(&methods).into()
            }
            Matched::OtherMethods(methods) => {
                let failure = Failure::new(405, format!("{} is not possible here", request.method));
                let mut response = error_response(&request.id, &failure);
                response
                    .headers
                    .insert(header::ALLOW, allow_header(&methods));
                response.into()
            }
            Matched::Nothing => {
                let path = &request.target.path;
                let failure = || {
                    let failure = Failure::new(404, format!("nothing answers {path}"));
                    error_response(&request.id, &failure).into()
                };
                if table.claims(path) {
                    return failure();
                }
                files::page_or(&*self.files, exchange, failure).await
            }
        }
    }

    /// Calls a handler within the bounds on calls. A call that a handler dispatches uses the permits
    /// of its caller.
    async fn call<T, F: Future<Output = Outcome<T>>>(
        &self,
        handler: &Served,
        kind: CallKind,
        context: &CallContext,
        call: impl FnOnce(CallContext) -> F,
    ) -> Outcome<T> {
        let _permits = match context.depth {
            0 => Some(self.enter(handler, kind).await?),
            _ => None,
        };
        let running = Running::begin(handler, kind);
        let outcome = call(context.clone()).await;
        running.end(&outcome);
        outcome
    }

    async fn enter(&self, handler: &Served, kind: CallKind) -> Result<Permits, CallError> {
        let refused = match self.gate.enter(&handler.permits).await {
            Ok(permits) => return Ok(permits),
            Err(refused) => refused,
        };
        let error = match (refused, handler.settings.narrow_pool()) {
            (TurnedAway::Handler, Some(instances)) => CallError::PoolBusy { instances },
            _ => CallError::Overloaded,
        };
        turn_away(handler, kind, &error);
        Err(error)
    }
}

/// Returns the bytes of the answer of a call; zero if the call gave none.
fn answer_bytes<T: AsAnswer>(outcome: &Outcome<T>) -> u64 {
    let answer = outcome
        .as_ref()
        .ok()
        .and_then(|answer| answer.as_ref().ok());
    let response = answer.and_then(AsAnswer::as_answer);
    response.map_or(0, |response| response.body.in_memory())
}

/// What a route or a policy returns.
trait AsAnswer {
    /// Returns the answer, if there is one.
    fn as_answer(&self) -> Option<&Response>;
}

impl AsAnswer for Response {
    fn as_answer(&self) -> Option<&Response> {
        Some(self)
    }
}

impl AsAnswer for Option<Response> {
    fn as_answer(&self) -> Option<&Response> {
        self.as_ref()
    }
}

/// Returns the failure of a call that gave no usable answer, with the reason if the context keeps the last error.
fn failure_of(context: &CallContext, error: &CallError) -> Failure {
    Failure {
        detail: context.last_error.as_ref().map(|_| error.to_string()),
        ..of_call_error(error)
    }
}

/// Returns the part of an outcome that the client gets. A call that went wrong is logged here, once. The client is told
/// why if the context keeps the last error.
fn client_result<T>(
    handler: &Served,
    context: &CallContext,
    what: &dyn fmt::Display,
    outcome: Outcome<T>,
) -> Result<T, Failure> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(mut failure)) => {
            if failure.code >= 500 {
                keep_returned(handler, &context.id, what, &failure);
                failure.detail = context.last_error.as_ref().and_then(LastError::take);
            }
            Err(failure)
        }
        Err(error) => {
            if is_logged(&error) {
                log_call_error(handler, &context.id, what, &error);
            }
            Err(failure_of(context, &error))
        }
    }
}
