//! A complete handler under test.

use std::time::SystemTime;

use serde::Serialize;

use super::client::{self, Client};
use super::event::Event;
use super::play;
use super::request::{self, Request};
use crate::app::{self, Schedule};
use crate::double::instances;
use crate::double::state::{self, ConnectionState};
use crate::due::Due;
use crate::error::{Failure, Result};
use crate::life::Life;
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

    /// Sets how long instances live, as the operator does with the setting `instances`. Without it, each call has a
    /// fresh one.
    ///
    /// With [`Life::Socket`], the hooks and events of a client have one instance until [`disconnect`](App::disconnect),
    /// and every other call has a fresh one. With [`Life::Shared`], one instance has all calls. A call that is made
    /// while it is in another one, for a request that the handler [dispatches](crate::dispatch()), has a second one. A
    /// panic ends the instance.
    ///
    /// ```
    /// use hitchy_guest::instance::{self, Life};
    /// use hitchy_guest::{App, testing};
    ///
    /// #[derive(Default)]
    /// struct Hits(u32);
    ///
    /// fn app() -> App {
    ///     App::new().get("/hits", || instance::with(|hits: &mut Hits| {
    ///         hits.0 += 1;
    ///         hits.0.to_string()
    ///     }))
    /// }
    ///
    /// let hit = |app: testing::App| app.get("/hits").send().text().unwrap().to_owned();
    ///
    /// let app = testing::App::new(app); // in a #[test]
    /// assert_eq!([hit(app), hit(app)], ["1", "1"]);
    ///
    /// let app = app.instances(Life::Shared);
    /// assert_eq!([hit(app), hit(app)], ["1", "2"]);
    /// app.end_instances();
    /// assert_eq!(hit(app), "1");
    /// ```
    pub fn instances(self, life: Life) -> Self {
        instances::set_life(life);
        self
    }

    /// Ends all instances, as the server does when it is short of memory, when they have been idle, after `max-calls`,
    /// or when a new version of the handler is loaded. Clients stay connected, and the next call of each has a new
    /// instance.
    ///
    /// A handler must get over this at any time, because what it keeps in memory is a cache.
    pub fn end_instances(&self) {
        instances::end_all();
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
        let Some(index) = schedules.iter().position(|one| one.name() == name) else {
            let names: Vec<_> = schedules.iter().map(Schedule::name).collect();
            panic!("there is no schedule {name:?}; the app declares {names:?}");
        };
        play::call(self.app, None, |app| (app.schedules[index].run)(&due)).map_err(Failure::from)
    }

    /// Disconnects a client and runs the app's hooks. The reason is one of socket.io's, for example `transport close`.
    pub fn disconnect(&self, client: &Socket, reason: &str) {
        let (namespace, id) = (client.namespace(), client.id());
        client::set_state(&namespace, &id, ConnectionState::Disconnected);
        client::run_hooks(Some(self.app), &namespace, &id, Some(reason), |hook| {
            hook.disconnect.as_ref()
        })
        .for_each(drop);
        instances::end_of_connection(&namespace, &id);
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
