//! A simulated client that is about to connect.

use serde::Serialize;

use super::play;
use crate::app::{self, Action, Hook};
use crate::connection;
use crate::double::state::{self, Connection, ConnectionState};
use crate::double::{instances, sockets};
use crate::error::{Failure, Result};
use crate::socket::Socket;

/// A simulated client that is about to connect: `testing::client().auth("secret").connect()`.
#[derive(Debug)]
#[must_use = "a client is nobody until it connects"]
pub struct Client {
    app: Option<fn() -> app::App>,
    connection: Connection,
}

impl Client {
    pub(super) fn new(app: Option<fn() -> app::App>) -> Self {
        let number = state::with(|state| state.connections.len() + 1);
        let connection = Connection {
            id: format!("client-{number}"),
            namespace: "/".to_owned(),
            remote: format!("127.0.0.1:{}", 50_000 + number),
            query: "EIO=4&transport=websocket".to_owned(),
            headers: Vec::new(),
            auth: None,
            context: Vec::new(),
            rooms: Vec::new(),
            state: ConnectionState::Connecting,
        };
        Client { app, connection }
    }

    /// Sets the namespace to connect to. The default is `/`.
    pub fn of(mut self, namespace: &str) -> Self {
        self.connection.namespace = namespace.to_owned();
        self
    }

    /// Sets the id of the client. The default is `client-` and a number.
    pub fn id(mut self, id: &str) -> Self {
        self.connection.id = id.to_owned();
        self
    }

    /// Sets the data that the client sends with CONNECT.
    ///
    /// # Panics
    /// Panics when the value cannot be written as JSON.
    pub fn auth<T: Serialize + ?Sized>(mut self, auth: &T) -> Self {
        self.connection.auth = Some(json(auth));
        self
    }

    /// Sets the query of the handshake, without `?`.
    pub fn query(mut self, query: &str) -> Self {
        self.connection.query = query.to_owned();
        self
    }

    /// Adds a header to the handshake.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.connection
            .headers
            .push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets a value in the connection's context, as a hook of another handler could have done.
    ///
    /// # Panics
    /// Panics when the value cannot be written as JSON.
    pub fn context<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        self.connection.context.push((key.to_owned(), json(value)));
        self
    }

    /// Puts the client into a room before it connects.
    pub fn room(mut self, room: &str) -> Self {
        self.connection.rooms.push(room.to_owned());
        self
    }

    /// Connects the client and returns its socket.
    ///
    /// # Panics
    /// Panics when a connection hook refuses the client.
    pub fn connect(self) -> Socket {
        self.try_connect()
            .unwrap_or_else(|failure| panic!("the client was refused: {failure}"))
    }

    /// Connects the client after running the app's connection hooks, and returns its socket.
    ///
    /// # Errors
    /// Returns the failure with which a hook refused the client.
    pub fn try_connect(mut self) -> Result<Socket, Failure> {
        let Connection { namespace, id, .. } = self.connection.clone();
        self.connection.rooms.insert(0, id.clone());
        // A client that had the same id may have left an instance.
        instances::end_of_connection(&namespace, &id);
        state::with(|state| state.connections.push(self.connection));
        let enter = |state| set_state(&namespace, &id, state);

        let outcomes = run_hooks(self.app, &namespace, &id, None, |hook| {
            hook.connect.as_ref()
        });
        for outcome in outcomes {
            if let Err(failure) = outcome {
                enter(ConnectionState::Disconnected);
                instances::end_of_connection(&namespace, &id);
                return Err(failure);
            }
        }
        enter(ConnectionState::Connected);
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

/// Sets the state of a connection, if there is one with this namespace and id.
pub(super) fn set_state(namespace: &str, id: &str, new: ConnectionState) {
    state::with(|state| {
        if let Some(connection) = state.connection(namespace, id) {
            connection.state = new;
        }
    });
}

/// Runs the hooks of a namespace one after the other. As in the server, each is a call, also if it does not have the
/// wanted function.
pub(super) fn run_hooks(
    app: Option<fn() -> app::App>,
    namespace: &str,
    id: &str,
    reason: Option<&str>,
    action: impl Fn(&Hook) -> Option<&Action>,
) -> impl Iterator<Item = Result<(), Failure>> {
    let of_namespace = move |(index, hook): (usize, Hook)| {
        let is_concerned = hook.namespace == namespace;
        is_concerned.then_some(index)
    };
    let hooks = app.map(|app| app().entries.hooks).unwrap_or_default();
    let concerned = hooks.into_iter().enumerate().filter_map(of_namespace);
    let run = move |app, index: usize| {
        play::call(app, Some((namespace, id)), |app| {
            let Some(run) = action(&app.hooks[index]) else {
                return Ok(());
            };
            let connection = connection::Connection {
                socket: Socket::new(sockets::Socket::new(namespace, id)),
                reason: reason.map(str::to_owned),
            };
            run(&connection).map_err(Failure::from)
        })
    };
    concerned.filter_map(move |index| Some(run(app?, index)))
}
