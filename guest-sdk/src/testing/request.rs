//! A request that is about to be sent.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value, json};

use super::client;
use super::matching::{self, Found, Params};
use crate::answer::Response;
use crate::app::{self, Stage};
use crate::double::requests::{self, Facts};
use crate::double::world::{self, Dispatcher};
use crate::error::{Failure, Result};
use crate::request;
use crate::socket::Socket;

/// A request that a client is about to send: see [`App::get`](super::App::get).
#[must_use = "nothing happens until it is sent"]
pub struct Request {
    app: fn() -> app::App,
    facts: Facts,
}

impl Request {
    pub(super) fn new(app: fn() -> app::App, method: &str, url: &str) -> Self {
        let facts = Facts {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            door: "http",
            socket: None,
            context: RefCell::default(),
            response_headers: RefCell::default(),
        };
        Request { app, facts }
    }

    /// Sends a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.facts
            .headers
            .push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sends a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.facts.body = body.into();
        self
    }

    /// Sends a JSON body and its content-type.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.header("content-type", "application/json")
            .body(client::json(value))
    }

    /// Sends a form and its content-type: `name=value&…`.
    pub fn form(self, text: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(text)
    }

    /// Sends it as `request` over this client's socket, with the socket's context.
    pub fn from(mut self, client: &Socket) -> Self {
        let (namespace, id) = (client.namespace(), client.id());
        let context = world::with(|world| {
            world
                .connection(&namespace, &id)
                .map(|connection| connection.context.clone())
        });
        self.facts
            .context
            .borrow_mut()
            .extend(context.unwrap_or_default());
        self.facts.socket = Some((namespace, id));
        self.facts.door = "socket";
        self
    }

    /// Has this in its context, as if a policy of another handler had set it.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn context<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        self.facts
            .context
            .borrow_mut()
            .push((key.to_owned(), client::json(value)));
        self
    }

    /// Sends it through the app's policies and routes. A failure is answered as the server does, as JSON `{error, code, id}`.
    pub fn send(self) -> Response {
        let app = (self.app)();
        let call = Call {
            app: &app,
            facts: Rc::new(self.facts),
        };
        let response = call
            .answer()
            .unwrap_or_else(|failure| call.failed(&failure));
        let added = call.facts.response_headers.borrow().clone();
        let response = added.into_iter().fold(response, |response, (name, value)| {
            response.with_header(name, value)
        });
        call.told_after(response.status());
        response
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.facts.method, self.facts.url)
    }
}

/// A request on its way through the app.
struct Call<'a> {
    app: &'a app::App,
    facts: Rc<Facts>,
}

impl Call<'_> {
    fn path(&self) -> &str {
        self.facts.url.split('?').next().unwrap_or_default()
    }

    fn request(
        &self,
        pattern: &'static str,
        params: Params,
        status: Option<u16>,
    ) -> request::Request {
        request::Request::new(
            requests::Request {
                facts: self.facts.clone(),
                params,
            },
            pattern,
            status,
        )
    }

    fn policies(&self) -> impl Iterator<Item = &Stage> {
        let concerned = self.app.policies.iter().filter(|policy| {
            let method = policy.method.is_empty() || policy.method == self.facts.method;
            method && matching::covers(policy.prefix, self.path())
        });
        concerned.map(|policy| &policy.stage)
    }

    fn answer(&self) -> Result<Response, Failure> {
        for stage in self.policies() {
            let Stage::Before(decide) = stage else {
                continue;
            };
            if let Some(response) =
                decide(&self.request("", Params::new(), None)).map_err(Failure::from)?
            {
                return Ok(response);
            }
        }
        match matching::find(&self.app.routes, &self.facts.method, self.path()) {
            Found::Route(route, params) => {
                (route.answer)(&self.request(route.path, params, None)).map_err(Failure::from)
            }
            Found::OtherMethods => Err(Failure::new(405, "method not allowed")),
            Found::Nothing => Err(Failure::new(404, "not found")),
        }
    }

    fn failed(&self, failure: &Failure) -> Response {
        let id = self.request("", Params::new(), None).id();
        let mut body = json!({ "error": failure.message(), "code": failure.code(), "id": id });
        if let Some(data) = failure.data() {
            body["data"] = serde_json::from_str::<Value>(data).unwrap_or_default();
        }
        let response = Response::new(failure.code())
            .with_header("content-type", "application/json; charset=utf-8");
        response.with_body(body.to_string())
    }

    fn told_after(&self, status: u16) {
        for stage in self.policies() {
            if let Stage::After(run) = stage {
                let told = run(&self.request("", Params::new(), Some(status)));
                told.map_err(Failure::from).unwrap_or_default();
            }
        }
    }
}

/// Returns what answers the requests that the app under test dispatches itself.
pub(super) fn dispatcher(app: fn() -> app::App) -> Dispatcher {
    Rc::new(move |method, url, headers, body| {
        let mut request = Request::new(app, method, url).body(body);
        request.facts.door = "dispatch";
        request.facts.headers = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        request.send().into()
    })
}
