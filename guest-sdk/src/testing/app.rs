//! A complete handler under test.

use std::time::SystemTime;

use serde::Serialize;

use super::client::{self, Client};
use super::event::Event;
use super::request::{self, Request};
use crate::app::{self, Schedule};
use crate::double::state::{self, ConnectionState};
use crate::due::Due;
use crate::error::{Failure, Result};
use crate::payload::Payload;
use crate::socket::Socket;

/// A complete handler under test, to which tests send requests and events as clients do.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub(super) app: fn() -> app::App,
}

impl App {
    /// Creates the app under test from the function that [`export!`](crate::export) takes, and resets the test double.
    ///
    /// # Panics
    /// Panics when the app has declarations that the server would refuse to load.
    pub fn new(app: fn() -> app::App) -> Self {
        super::reset();
        check(&app().entries);
        state::with(|state| state.dispatcher = Some(request::dispatcher(app)));
        App { app }
    }

    /// Starts a request with any method.
    pub fn request(&self, method: &str, url: &str) -> Request {
        Request::new(self.app, method, url)
    }

    /// Starts a GET request to this URL.
    pub fn get(&self, url: &str) -> Request {
        self.request("GET", url)
    }

    /// Starts a POST request to this URL.
    pub fn post(&self, url: &str) -> Request {
        self.request("POST", url)
    }

    /// Starts a PUT request to this URL.
    pub fn put(&self, url: &str) -> Request {
        self.request("PUT", url)
    }

    /// Starts a PATCH request to this URL.
    pub fn patch(&self, url: &str) -> Request {
        self.request("PATCH", url)
    }

    /// Starts a DELETE request to this URL.
    pub fn delete(&self, url: &str) -> Request {
        self.request("DELETE", url)
    }

    /// Starts an event. A tuple is sent as several arguments, `()` as none, and any other value as one.
    ///
    /// # Panics
    /// Panics when the arguments cannot be written as JSON.
    pub fn event<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Event {
        Event::new(
            self.app,
            event,
            Payload::new(data).expect("a test's arguments can be written as JSON"),
        )
    }

    /// Starts a client that runs the app's connection hooks when it connects.
    pub fn client(&self) -> Client {
        Client::new(Some(self.app))
    }

    /// Runs a schedule as if its time had come now, and returns its outcome.
    ///
    /// ```
    /// use hitchy_guest::{App, Result, emit, testing};
    ///
    /// fn app() -> App {
    ///     App::new().every("5s", tick)
    /// }
    ///
    /// fn tick() -> Result<()> {
    ///     Ok(emit("tick", &())?)
    /// }
    ///
    /// let app = testing::App::new(app); // in a #[test]
    /// app.fire("tick").unwrap();
    /// assert_eq!(testing::emitted()[0].event, "tick");
    /// ```
    ///
    /// # Errors
    /// Returns the failure of the function, which the server would write to the log.
    ///
    /// # Panics
    /// Panics when the app has no schedule of this name.
    pub fn fire(&self, name: &str) -> Result<(), Failure> {
        self.fire_at(name, SystemTime::now())
    }

    /// Runs a schedule as [`fire`](App::fire) does, with the time at which it is due.
    ///
    /// # Errors
    /// Returns the failure of the function, which the server would write to the log.
    ///
    /// # Panics
    /// Panics when the app has no schedule of this name.
    pub fn fire_at(&self, name: &str, due: SystemTime) -> Result<(), Failure> {
        let since = due
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let due = Due::at_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let schedules = (self.app)().entries.schedules;
        let Some(schedule) = schedules.iter().find(|one| one.name() == name) else {
            let names: Vec<_> = schedules.iter().map(Schedule::name).collect();
            panic!("there is no schedule {name:?}; the app declares {names:?}");
        };
        (schedule.run)(&due).map_err(Failure::from)
    }

    /// Disconnects a client and runs the app's hooks. The reason is one of socket.io's, for example `transport close`.
    pub fn disconnect(&self, client: &Socket, reason: &str) {
        let (namespace, id) = (client.namespace(), client.id());
        client::set_state(&namespace, &id, ConnectionState::Disconnected);
        client::run_hooks(Some(self.app), &namespace, &id, Some(reason), |hook| {
            hook.disconnect.as_ref()
        })
        .for_each(drop);
    }
}

/// Checks the declarations as the server does when it loads a handler, without the checks that need other handlers.
fn check(app: &app::Entries) {
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
    let schedules: Vec<_> = app.schedules.iter().map(Schedule::name).collect();
    for (index, name) in schedules.iter().enumerate() {
        assert!(!name.is_empty(), "a schedule has no name");
        assert!(
            !schedules[..index].contains(name),
            "schedule {name} is declared twice; give one of them another name with `.schedule(name, spec, function)`"
        );
    }
}
