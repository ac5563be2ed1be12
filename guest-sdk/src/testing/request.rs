//! A request that is about to be sent.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value, json};

use super::client;
use super::matching::{self, Found, Params};
use super::play;
use crate::answer::Response;
use crate::app::{self, Entries, Stage};
use crate::double::requests::{self, RequestParts};
use crate::double::state::{self, Dispatcher};
use crate::error::{Failure, Result};
use crate::request;
use crate::socket::Socket;

/// A request that a client is about to send, made by [`App::get`](super::App::get) and others.
#[must_use = "nothing happens until it is sent"]
pub struct Request {
    app: fn() -> app::App,
    parts: RequestParts,
}

impl Request {
    pub(super) fn new(app: fn() -> app::App, method: &str, url: &str) -> Self {
        let parts = RequestParts {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            door: "http",
            socket: None,
            context: RefCell::default(),
            response_headers: RefCell::default(),
        };
        Request { app, parts }
    }

    /// Adds a header to the request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.parts
            .headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets the body of the request.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.parts.body = body.into();
        self
    }

    /// Sets the body to JSON, and the content-type to `application/json`.
    ///
    /// # Panics
    /// Panics when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.header("content-type", "application/json")
            .body(client::json(value))
    }

    /// Sets the body to a form, `name=value&…`, and the content-type to `application/x-www-form-urlencoded`.
    pub fn form(self, text: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(text)
    }

    /// Sends the request as `request` over this client's socket, with a copy of the socket's context.
    pub fn from(mut self, client: &Socket) -> Self {
        let (namespace, id) = (client.namespace(), client.id());
        let context = state::with(|state| {
            state
                .connection(&namespace, &id)
                .map(|connection| connection.context.clone())
        });
        self.parts
            .context
            .borrow_mut()
            .extend(context.unwrap_or_default());
        self.parts.socket = Some((namespace, id));
        self.parts.door = "socket";
        self
    }

    /// Sets a value in the request's context, as a policy of another handler could have done.
    ///
    /// # Panics
    /// Panics when the value cannot be written as JSON.
    pub fn context<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        self.parts
            .context
            .borrow_mut()
            .push((key.to_owned(), client::json(value)));
        self
    }

    /// Sends the request through the app's policies and routes and returns the response.
    ///
    /// As in the server, a failure is answered with the JSON `{error, code, id}`.
    pub fn send(self) -> Response {
        let exchange = Exchange {
            app: self.app,
            declared: (self.app)().entries,
            parts: Rc::new(self.parts),
        };
        let answered = exchange
            .answer()
            .unwrap_or_else(|failure| exchange.failure_response(&failure));
        let added = exchange.parts.response_headers.borrow().clone();
        let response = added.into_iter().fold(answered, |response, (name, value)| {
            response.with_header(name, value)
        });
        exchange.run_after_policies(response.status());
        response
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.parts.method, self.parts.url)
    }
}

/// A request that is being answered by the app. Each policy that it passes through is a call of its own, and so is its
/// route.
struct Exchange {
    app: fn() -> app::App,
    /// The declarations, by which the server finds the policies and the route.
    declared: Box<Entries>,
    parts: Rc<RequestParts>,
}

impl Exchange {
    fn path(&self) -> &str {
        self.parts.url.split('?').next().unwrap_or_default()
    }

    fn request(
        &self,
        pattern: &'static str,
        params: Params,
        status: Option<u16>,
    ) -> request::Request {
        let handle = requests::Request::new(self.parts.clone(), params);
        request::Request::new(handle, pattern, status)
    }

    /// Returns the indexes of the policies for this method and path.
    fn policies(&self, is_wanted: fn(&Stage) -> bool) -> impl Iterator<Item = usize> {
        let all = self.declared.policies.iter().enumerate();
        let concerned = all.filter(move |(_, policy)| {
            let method = policy.method.is_empty() || policy.method == self.parts.method;
            method && is_wanted(&policy.stage) && matching::covers(policy.prefix, self.path())
        });
        concerned.map(|(index, _)| index)
    }

    /// Runs a policy.
    fn run_policy(&self, index: usize, status: Option<u16>) -> Result<Option<Response>> {
        play::call(self.app, None, |app| {
            let request = self.request("", Params::new(), status);
            match &app.policies[index].stage {
                Stage::Before(decide) => decide(&request),
                Stage::After(run) => run(&request).map(|()| None),
            }
        })
    }

    /// Runs the `before` policies, then the route.
    fn answer(&self) -> Result<Response, Failure> {
        for index in self.policies(|stage| matches!(stage, Stage::Before(_))) {
            if let Some(response) = self.run_policy(index, None).map_err(Failure::from)? {
                return Ok(response);
            }
        }
        match matching::find(&self.declared.routes, &self.parts.method, self.path()) {
            Found::Route(index, params) => play::call(self.app, None, |app| {
                let route = &app.routes[index];
                (route.answer)(&self.request(route.path, params, None)).map_err(Failure::from)
            }),
            Found::OtherMethods => Err(Failure::new(405, "method not allowed")),
            Found::Nothing => Err(Failure::new(404, "not found")),
        }
    }

    /// Makes the response of a failure.
    fn failure_response(&self, failure: &Failure) -> Response {
        let id = self.request("", Params::new(), None).id();
        let mut body = json!({ "error": failure.message(), "code": failure.code(), "id": id });
        if let Some(data) = failure.data() {
            body["data"] = serde_json::from_str::<Value>(data).unwrap_or_default();
        }
        let response = Response::new(failure.code())
            .with_header("content-type", "application/json; charset=utf-8");
        response.with_body(body.to_string())
    }

    /// Runs the `after` policies with the status of the response.
    fn run_after_policies(&self, status: u16) {
        for index in self.policies(|stage| matches!(stage, Stage::After(_))) {
            // The conversion writes an internal error to the log. Nobody waits for the failure itself.
            let outcome = self.run_policy(index, Some(status));
            outcome.map_err(Failure::from).unwrap_or_default();
        }
    }
}

/// Returns the function that answers the requests that the app under test dispatches itself.
pub(super) fn dispatcher(app: fn() -> app::App) -> Dispatcher {
    Rc::new(move |method, url, headers, body| {
        let mut request = Request::new(app, method, url).body(body);
        request.parts.door = "dispatch";
        request.parts.headers = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        request.send().into()
    })
}
