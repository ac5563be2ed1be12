//! A made-up client that is about to connect.

use serde::Serialize;

use crate::app::{self, Action, Hook};
use crate::connection;
use crate::double::sockets;
use crate::double::world::{self, Connection, Stage};
use crate::error::{Failure, Result};
use crate::socket::Socket;

/// A made-up client that is about to connect: `testing::client().auth("secret").connect()`.
#[derive(Debug)]
#[must_use = "a client is nobody until it connects"]
pub struct Client {
    app: Option<fn() -> app::App>,
    connection: Connection,
}

impl Client {
    pub(super) fn new(app: Option<fn() -> app::App>) -> Self {
        let number = world::with(|world| world.connections.len() + 1);
        let connection = Connection {
            id: format!("client-{number}"),
            namespace: "/".to_owned(),
            remote: format!("127.0.0.1:{}", 50_000 + number),
            query: "EIO=4&transport=websocket".to_owned(),
            headers: Vec::new(),
            auth: None,
            context: Vec::new(),
            rooms: Vec::new(),
            stage: Stage::Connecting,
        };
        Client { app, connection }
    }

    /// Connects to another namespace than `/`.
    pub fn of(mut self, namespace: &str) -> Self {
        self.connection.namespace = namespace.to_owned();
        self
    }

    /// Gives it this id.
    pub fn id(mut self, id: &str) -> Self {
        self.connection.id = id.to_owned();
        self
    }

    /// Sends this with CONNECT.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn auth<T: Serialize + ?Sized>(mut self, auth: &T) -> Self {
        self.connection.auth = Some(json(auth));
        self
    }

    /// Sends this query with the handshake, without `?`.
    pub fn query(mut self, query: &str) -> Self {
        self.connection.query = query.to_owned();
        self
    }

    /// Sends this header with the handshake.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.connection
            .headers
            .push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Has this in its context, as if a hook of another handler had set it.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    pub fn context<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        self.connection.context.push((key.to_owned(), json(value)));
        self
    }

    /// Is in this room from the beginning.
    pub fn room(mut self, room: &str) -> Self {
        self.connection.rooms.push(room.to_owned());
        self
    }

    /// Connects.
    ///
    /// # Panics
    /// When a connection hook refuses the client.
    pub fn connect(self) -> Socket {
        self.try_connect()
            .unwrap_or_else(|failure| panic!("the client was refused: {failure}"))
    }

    /// Connects, after asking the app's connection hooks.
    ///
    /// # Errors
    /// What a hook refused the client with.
    pub fn try_connect(mut self) -> Result<Socket, Failure> {
        let Connection { namespace, id, .. } = self.connection.clone();
        self.connection.rooms.insert(0, id.clone());
        world::with(|world| world.connections.push(self.connection));
        let enter = |stage| set_stage(&namespace, &id, stage);

        for outcome in run_hooks(self.app, &namespace, &id, None, |hook| {
            hook.connect.as_ref()
        }) {
            if let Err(failure) = outcome {
                enter(Stage::Gone);
                return Err(failure);
            }
        }
        enter(Stage::Connected);
        run_hooks(self.app, &namespace, &id, None, |hook| {
            hook.connected.as_ref()
        })
        .for_each(drop);
        Ok(Socket::new(sockets::Socket::new(&namespace, &id)))
    }
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("a test's value can be written as JSON")
}

pub(super) fn set_stage(namespace: &str, id: &str, stage: Stage) {
    world::with(|world| {
        if let Some(connection) = world.connection(namespace, id) {
            connection.stage = stage;
        }
    });
}

/// Runs the hooks of a namespace one after the other, each with an app of its own, as the host does.
pub(super) fn run_hooks(
    app: Option<fn() -> app::App>,
    namespace: &str,
    id: &str,
    reason: Option<&str>,
    action: impl Fn(&Hook) -> Option<&Action>,
) -> impl Iterator<Item = Result<(), Failure>> {
    let hooks = app.map(|app| app().hooks).unwrap_or_default();
    hooks
        .into_iter()
        .filter(move |hook| hook.namespace == namespace)
        .filter_map(move |hook| {
            let socket = Socket::new(sockets::Socket::new(namespace, id));
            let connection = connection::Connection {
                socket,
                reason: reason.map(str::to_owned),
            };
            action(&hook).map(|run| run(&connection).map_err(Failure::from))
        })
}
