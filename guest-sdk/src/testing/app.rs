//! A whole handler under test.

use serde::Serialize;

use super::client::{self, Client};
use super::event::Event;
use super::request::{self, Request};
use crate::app;
use crate::double::world::{self, Stage};
use crate::payload::Payload;
use crate::socket::Socket;

/// A whole handler under test: it is asked as clients ask it.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub(super) app: fn() -> app::App,
}

impl App {
    /// Takes what [`export!`](crate::export) takes, and begins with an empty world.
    ///
    /// # Panics
    /// When the app declares what the server would refuse to load.
    pub fn new(app: fn() -> app::App) -> Self {
        super::reset();
        check(&app());
        world::with(|world| world.dispatcher = Some(request::dispatcher(app)));
        App { app }
    }

    /// A request with any method.
    pub fn request(&self, method: &str, url: &str) -> Request {
        Request::new(self.app, method, url)
    }

    /// A GET request.
    pub fn get(&self, url: &str) -> Request {
        self.request("GET", url)
    }

    /// A POST request.
    pub fn post(&self, url: &str) -> Request {
        self.request("POST", url)
    }

    /// A PUT request.
    pub fn put(&self, url: &str) -> Request {
        self.request("PUT", url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: &str) -> Request {
        self.request("PATCH", url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: &str) -> Request {
        self.request("DELETE", url)
    }

    /// An event with arguments: a tuple is several, `()` is none, anything else one.
    ///
    /// # Panics
    /// When the arguments cannot be written as JSON.
    pub fn event<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Event {
        Event::new(
            self.app,
            event,
            Payload::new(data).expect("a test's arguments can be written as JSON"),
        )
    }

    /// A client that is about to connect: the app's connection hooks are asked.
    pub fn client(&self) -> Client {
        Client::new(Some(self.app))
    }

    /// The client goes; the app's connection hooks are told why, in socket.io's words: `transport close`, for instance.
    pub fn disconnect(&self, client: &Socket, reason: &str) {
        let (namespace, id) = (client.namespace(), client.id());
        client::set_stage(&namespace, &id, Stage::Gone);
        client::run_hooks(Some(self.app), &namespace, &id, Some(reason), |hook| {
            hook.disconnect.as_ref()
        })
        .for_each(drop);
    }
}

/// What the server checks when it loads a handler, in so far as the author can see it here.
fn check(app: &app::App) {
    for route in &app.routes {
        let (method, path) = (route.method, route.path);
        assert!(
            path.starts_with('/'),
            "the path of route {method} {path} must begin with `/`"
        );
        let same = app
            .routes
            .iter()
            .filter(|other| other.method == method && other.path == path);
        assert!(same.count() == 1, "route {method} {path} is declared twice");
        assert!(
            method == method.to_ascii_uppercase(),
            "the method of route {method} {path} must be upper case"
        );
    }
    for listener in &app.listeners {
        let (namespace, event) = (listener.namespace, listener.event);
        assert!(
            namespace.starts_with('/'),
            "the namespace {namespace} of listener {event} must begin with `/`"
        );
        let reserved = namespace == "/hitchy" || namespace.starts_with("/hitchy/");
        assert!(
            !reserved,
            "listener {event}: the namespace {namespace} is reserved"
        );
    }
}
