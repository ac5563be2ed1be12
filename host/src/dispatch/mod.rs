//! Who answers: takes what a door brings, finds policies, route, listeners or hooks in the table, takes a permit, calls, and makes
//! an answer of whatever happens. Every request and every wanted ack ends here in exactly one answer.

mod answer;
mod gate;
mod ids;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, header};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use self::answer::{Refusal, ack_of_failure, error_response};
pub use self::gate::GateSettings;

use self::answer::{X_REQUEST_ID, allow_header, of_call_error, options_response};
use self::gate::Gate;
use self::ids::Ids;
use crate::message::{CallId, Door, Event, Exchange, Request, Response};
use crate::payload::{Failure, Payload};
use crate::registry::{Entry, Matched, Registry, Table};
use crate::runtime::{CallContext, CallError, Dispatcher, Handler, Outcome, Stage};
use crate::sockets::Connection;
use crate::text::visible;

/// The way from the doors to the handlers.
pub struct Dispatch {
    registry: Arc<Registry>,
    gate: Gate,
    ids: Ids,
    /// What was accepted and has not been answered yet.
    work: TaskTracker,
    draining: AtomicBool,
}

/// Something accepted: shutting down waits until it is dropped.
pub type Accepted = TaskTrackerToken;

impl Dispatch {
    /// Answers with what `registry` serves, within `settings`.
    pub fn new(registry: Arc<Registry>, settings: GateSettings) -> Arc<Self> {
        Arc::new(Self {
            registry,
            gate: Gate::new(settings),
            ids: Ids::new(),
            work: TaskTracker::new(),
            draining: AtomicBool::new(false),
        })
    }

    /// A name for a call.
    pub fn next_id(&self) -> CallId {
        self.ids.next()
    }

    /// Takes on work, or says why not.
    pub fn accept(&self) -> Result<Accepted, Refusal> {
        // Counted before it is looked at, so that shutting down sees it or it sees shutting down.
        let accepted = self.work.token();
        if self.draining.load(Ordering::SeqCst) {
            return Err(Refusal::Draining);
        }
        let table = self.registry.table();
        if !table.ready {
            return Err(Refusal::Starting);
        }
        if !table.missing.is_empty() {
            return Err(Refusal::Unguarded);
        }
        Ok(accepted)
    }

    /// Accepts nothing new from now on, and returns when all that was accepted has been answered.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.work.close();
        self.work.wait().await;
    }

    /// Whether nothing new is accepted any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Answers a request that was accepted.
    pub async fn request(self: &Arc<Self>, request: Request, accepted: Accepted) -> Response {
        let context = CallContext::new(Arc::clone(&request.id), request.remote);
        self.exchange(request, &context, accepted).await
    }

    /// Policies, the route, and the policies that look back.
    async fn exchange(
        self: &Arc<Self>,
        request: Request,
        context: &CallContext,
        accepted: Accepted,
    ) -> Response {
        let (table, exchange) = (self.registry.table(), Arc::new(Exchange::new(request)));
        let mut response = match self.before(&table, &exchange, context).await {
            Some(response) => response,
            None => self.route(&table, &exchange, context).await,
        };
        for (name, value) in &exchange.added_headers() {
            response.headers.append(name.clone(), value.clone());
        }
        let response = finish(response, &exchange.request.id);
        self.look_back(&table, exchange, response.status.as_u16(), accepted);
        response
    }

    /// The answer of the first policy that gives one, or that fails.
    async fn before(
        &self,
        table: &Table,
        exchange: &Arc<Exchange>,
        context: &CallContext,
    ) -> Option<Response> {
        let request = &exchange.request;
        for Entry { handler, index } in
            table.policies(Stage::Before, &request.method, &request.target.path)
        {
            let outcome = self
                .call(handler, context, |context| {
                    handler.on_before(context, *index, Arc::clone(exchange))
                })
                .await;
            match self.settle(handler, &request.id, &RequestName(request), outcome) {
                Ok(None) => {}
                Ok(Some(response)) => return Some(response),
                Err(failure) => return Some(error_response(&request.id, &failure)),
            }
        }
        None
    }

    async fn route(
        &self,
        table: &Table,
        exchange: &Arc<Exchange>,
        context: &CallContext,
    ) -> Response {
        let request = &exchange.request;
        match table.matched(&request.method, &request.target.path) {
            Matched::Route(Entry { handler, index }, params) => {
                let call =
                    |context| handler.on_request(context, index, Arc::clone(exchange), params);
                let outcome = self.call(&handler, context, call).await;
                let answer = self.settle(&handler, &request.id, &RequestName(request), outcome);
                answer.unwrap_or_else(|failure| error_response(&request.id, &failure))
            }
            Matched::OtherMethods(methods) if request.method == Method::OPTIONS => {
                options_response(&methods)
            }
            Matched::OtherMethods(methods) => {
                let failure = Failure::new(405, format!("{} is not possible here", request.method));
                let mut response = error_response(&request.id, &failure);
                response
                    .headers
                    .insert(header::ALLOW, allow_header(&methods));
                response
            }
            Matched::Nothing => {
                let failure = Failure::new(404, format!("nothing answers {}", request.target.path));
                error_response(&request.id, &failure)
            }
        }
    }

    /// Runs the policies that look at answers, when this one has been handed over.
    fn look_back(
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
                let told = handler
                    .on_after(context, index, Arc::clone(&exchange), status)
                    .await;
                log_news(
                    &handler,
                    &request.id,
                    &format_args!("after {}", RequestName(request)),
                    told,
                );
            }
        });
    }

    /// Handles an event: every file that listens, one after the other. The answer is the ack.
    pub async fn event(
        &self,
        connection: &Arc<Connection>,
        event: &Event,
    ) -> Result<Payload, Failure> {
        let table = self.registry.table();
        let listeners = table.listeners(&connection.namespace, &event.name);
        if listeners.is_empty() {
            return Err(Failure::new(
                404,
                format!(
                    "no handler listens to {:?} in {}",
                    event.name, connection.namespace
                ),
            ));
        }
        let (mut ack, mut first_failure) = (None, None);
        for Entry { handler, index } in &listeners {
            let context = CallContext::new(Arc::clone(&event.id), connection.handshake.remote);
            let call = |context| handler.on_event(context, *index, Arc::clone(connection), event);
            let outcome = self.call(handler, &context, call).await;
            match self.settle(
                handler,
                &event.id,
                &format_args!("event {:?}", event.name),
                outcome,
            ) {
                Ok(payload) => ack = ack.or(payload),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        match (ack, first_failure) {
            (Some(payload), _) => Ok(payload),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(Payload::empty()),
        }
    }

    /// Asks the connection hooks of a namespace, in order; the first refusal counts.
    pub async fn connect(&self, connection: &Arc<Connection>) -> Result<(), Failure> {
        let _accepted = self.accept().map_err(|refusal| refusal.failure())?;
        let table = self.registry.table();
        if !table.declares(&connection.namespace) {
            return Err(Failure::new(404, "Invalid namespace"));
        }
        let hooks = table.hooks(&connection.namespace);
        if hooks.is_empty() {
            return Ok(());
        }
        for Entry { handler, index } in hooks {
            let id = self.next_id();
            let call = |context| handler.on_connect(context, *index, Arc::clone(connection));
            let outcome = self
                .call(
                    handler,
                    &CallContext::new(Arc::clone(&id), connection.handshake.remote),
                    call,
                )
                .await;
            let broken = matches!(&outcome, Err(error) if is_logged(error));
            let what = format_args!("connect to {}", connection.namespace);
            let settled = self.settle(handler, &id, &what, outcome);
            // `connect_error` carries nothing but a message. What a hook says itself is left as it is.
            settled.map_err(|failure| match broken {
                true => with_id(failure, &id),
                false => failure,
            })?;
        }
        Ok(())
    }

    /// Tells the connection hooks of a namespace that a client has connected.
    pub async fn connected(&self, connection: &Arc<Connection>) {
        self.tell(connection, News::Connected).await;
    }

    /// Tells the connection hooks of a namespace that a client has gone.
    pub async fn disconnected(&self, connection: &Arc<Connection>, reason: &'static str) {
        self.tell(connection, News::Gone(reason)).await;
    }

    async fn tell(&self, connection: &Arc<Connection>, news: News) {
        let table = self.registry.table();
        let hooks = table.hooks(&connection.namespace);
        if hooks.is_empty() {
            return;
        }
        for Entry { handler, index } in hooks {
            let _permits = self.gate.enter_patiently(&handler.permits).await;
            let id = self.next_id();
            let (context, connection) = (
                CallContext::new(Arc::clone(&id), connection.handshake.remote),
                Arc::clone(connection),
            );
            let told = match news {
                News::Connected => handler.on_connected(context, *index, connection).await,
                News::Gone(reason) => {
                    handler
                        .on_disconnect(context, *index, connection, reason)
                        .await
                }
            };
            log_news(handler, &id, &news, told);
        }
    }

    /// Calls a handler within the bounds on calls. A call from inside goes on the permits of its caller.
    async fn call<T, F: Future<Output = Outcome<T>>>(
        &self,
        handler: &Handler,
        context: &CallContext,
        call: impl FnOnce(CallContext) -> F,
    ) -> Outcome<T> {
        let _permits = match context.depth {
            0 => Some(self.gate.enter(&handler.permits).await?),
            _ => None,
        };
        call(context.clone()).await
    }

    /// What the client gets of an outcome. What went wrong is logged here, once.
    fn settle<T>(
        &self,
        handler: &Handler,
        id: &CallId,
        what: &dyn fmt::Display,
        outcome: Outcome<T>,
    ) -> Result<T, Failure> {
        match outcome {
            Ok(answer) => answer,
            Err(error) => {
                if is_logged(&error) {
                    log_call_error(handler, id, what, &error);
                }
                Err(of_call_error(&error))
            }
        }
    }
}

/// What connection hooks are told.
#[derive(Clone, Copy)]
enum News {
    Connected,
    Gone(&'static str),
}

impl fmt::Display for News {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => formatter.write_str("on-connected"),
            Self::Gone(reason) => write!(formatter, "on-disconnect ({reason})"),
        }
    }
}

impl Dispatcher for Arc<Dispatch> {
    fn dispatch(
        &self,
        request: Request,
        depth: u32,
        remaining: Duration,
    ) -> BoxFuture<'_, Response> {
        let context = CallContext {
            id: Arc::clone(&request.id),
            until: Some(Instant::now() + remaining),
            depth,
            remote: request.remote,
        };
        Box::pin(async move {
            let method = request.method.clone();
            let response = self.exchange(request, &context, self.work.token()).await;
            without_head_body(response, &method)
        })
    }
}

/// For doors that do not know HEAD by themselves.
pub fn without_head_body(mut response: Response, method: &Method) -> Response {
    if method == Method::HEAD {
        response.body.clear();
    }
    response
}

/// `GET /path`, for the log; a request from inside says so. It is written only when there is something to log.
struct RequestName<'a>(&'a Request);

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

/// A server that has too much to do does not write it all down.
fn is_logged(error: &CallError) -> bool {
    !matches!(error, CallError::Overloaded)
}

/// The failure with the id, under which the log has it, in its message.
fn with_id(failure: Failure, id: &CallId) -> Failure {
    Failure {
        message: format!("{} (id {id})", failure.message),
        ..failure
    }
}

fn log_call_error(handler: &Handler, id: &CallId, what: &dyn fmt::Display, error: &CallError) {
    let what = what.to_string();
    tracing::error!(handler = %visible(&handler.name), call = %id, "{}: {}", visible(&what), visible(&error.to_string()));
}

/// Nobody waits for what a hook or a policy says afterwards: it is logged.
fn log_news(handler: &Handler, id: &CallId, what: &dyn fmt::Display, outcome: Outcome<()>) {
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            let what = what.to_string();
            tracing::warn!(
                handler = %visible(&handler.name), call = %id,
                "{}: failed with {}: {}", visible(&what), failure.code, visible(&failure.message)
            );
        }
        Err(error) => log_call_error(handler, id, what, &error),
    }
}

/// What every answer has.
fn finish(mut response: Response, id: &CallId) -> Response {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers.insert(X_REQUEST_ID, value);
    }
    response
}
