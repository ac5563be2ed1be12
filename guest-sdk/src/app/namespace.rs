//! The declarations of one namespace.

use super::App;
use crate::answer::{IntoAck, IntoOutcome};
use crate::extract::{FromConnection, FromEvent};
use crate::function::Function;

/// A namespace that is being declared: see [`App::namespace`].
#[derive(Debug)]
#[must_use = "a namespace is returned to `App::namespace`"]
pub struct Namespace {
    app: App,
    name: &'static str,
}

impl Namespace {
    pub(super) fn new(app: App, name: &'static str) -> Self {
        Namespace { app, name }
    }

    pub(super) fn into_app(self) -> App {
        self.app
    }

    /// Adds a listener for an event in this namespace: see [`App::on`].
    pub fn on<F, A>(self, event: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromEvent + 'static,
        F::Output: IntoAck,
    {
        let app = self.app.listener(self.name, event, function);
        Namespace { app, ..self }
    }

    /// Adds a hook that runs when a client connects to this namespace: see [`App::on_connect`].
    pub fn on_connect<F, A>(self, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let app = self.app.on_connect(self.name, function);
        Namespace { app, ..self }
    }

    /// Adds a hook that runs after a client has connected to this namespace: see [`App::on_connected`].
    pub fn on_connected<F, A>(self, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let app = self.app.on_connected(self.name, function);
        Namespace { app, ..self }
    }

    /// Adds a hook that runs after a client has disconnected from this namespace: see [`App::on_disconnect`].
    pub fn on_disconnect<F, A>(self, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromConnection + 'static,
        F::Output: IntoOutcome,
    {
        let app = self.app.on_disconnect(self.name, function);
        Namespace { app, ..self }
    }
}
