//! The import `sockets`.

use super::instances::Scope;
use super::state::{self, Connection, ConnectionState, failure};
use crate::bindings::hitchy::platform::sockets::Audience;
use crate::bindings::hitchy::platform::types::{Failure, Payload};

/// A handle to the connection with this namespace and id in the state. It is valid until the call ends in which it was
/// made.
pub(crate) struct Socket {
    namespace: String,
    id: String,
    scope: Scope,
}

impl Socket {
    pub(crate) fn new(namespace: &str, id: &str) -> Self {
        Socket {
            namespace: namespace.to_owned(),
            id: id.to_owned(),
            scope: Scope::current(),
        }
    }

    /// Returns the sentence for the author when the call of this handle is over.
    fn check(&self) -> Result<(), String> {
        let remedy = "keep the id of the socket, and find it by its id";
        self.scope.check("a socket", remedy)
    }

    /// Panics when the call of this handle is over. The server ends a call for it, because these functions cannot fail.
    fn assert_usable(&self) {
        self.check().unwrap_or_else(|sentence| panic!("{sentence}"));
    }

    /// Returns 410 when the call of this handle is over.
    fn usable(&self) -> Result<(), Failure> {
        self.check().map_err(|sentence| failure(410, &sentence))
    }

    /// Runs a function with the connection of this handle.
    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        self.assert_usable();
        state::with(|state| {
            let connection = state.connection(&self.namespace, &self.id);
            act(connection.expect("`testing::reset` was called while this socket was in use"))
        })
    }

    /// Returns 410 after the client has disconnected, or when the call of this handle is over.
    fn alive(&self) -> Result<(), Failure> {
        self.usable()?;
        match self.with(|connection| connection.state) {
            ConnectionState::Disconnected => Err(failure(410, "the client is gone")),
            ConnectionState::Connecting | ConnectionState::Connected => Ok(()),
        }
    }

    /// Returns the audience that contains only this socket.
    fn alone(&self) -> Audience {
        Audience {
            namespace: self.namespace.clone(),
            rooms: vec![self.id.clone()],
            excluding: Vec::new(),
            this_node_only: false,
            droppable: false,
        }
    }

    pub(crate) fn id(&self) -> String {
        self.assert_usable();
        self.id.clone()
    }

    pub(crate) fn namespace(&self) -> String {
        self.assert_usable();
        self.namespace.clone()
    }

    pub(crate) fn remote(&self) -> String {
        self.with(|connection| connection.remote.clone())
    }

    pub(crate) fn query(&self) -> String {
        self.with(|connection| connection.query.clone())
    }

    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        super::values(&self.headers(), name)
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.with(|connection| connection.headers.clone())
    }

    pub(crate) fn auth(&self) -> Option<String> {
        self.with(|connection| connection.auth.clone())
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.with(|connection| super::get(&connection.context, key))
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        self.usable()?;
        self.with(|connection| state::set(&mut connection.context, key, value))
    }

    pub(crate) fn rooms(&self) -> Vec<String> {
        self.with(|connection| connection.rooms.clone())
    }

    pub(crate) fn join(&self, rooms: &[String]) -> Result<(), Failure> {
        self.alive()?;
        self.with(|connection| join_all(connection, rooms));
        Ok(())
    }

    pub(crate) fn leave(&self, rooms: &[String]) -> Result<(), Failure> {
        self.alive()?;
        self.with(|connection| connection.rooms.retain(|room| !rooms.contains(room)));
        Ok(())
    }

    pub(crate) fn emit(&self, event: &str, args: &Payload) -> Result<(), Failure> {
        self.alive()?;
        if self.with(|connection| connection.state) == ConnectionState::Connecting {
            return Err(failure(
                409,
                "nothing can be emitted in on-connect: greet in on-connected",
            ));
        }
        emit_to(&self.alone(), event, args)
    }

    pub(crate) fn emit_with_ack(
        &self,
        event: &str,
        args: &Payload,
        _timeout_ms: u32,
    ) -> Result<Payload, Failure> {
        self.emit(event, args)?;
        state::with(|state| state.answer(event, &self.id))
    }

    pub(crate) fn disconnect(&self, close: bool) {
        self.assert_usable();
        state::with(|state| {
            let same = |other: &&mut Connection| {
                other.id == self.id && (close || other.namespace == self.namespace)
            };
            state
                .connections
                .iter_mut()
                .filter(same)
                .for_each(|connection| connection.state = ConnectionState::Disconnected);
        });
    }
}

pub(crate) fn emit(event: &str, args: &Payload) -> Result<(), Failure> {
    let everyone = Audience {
        namespace: "/".to_owned(),
        rooms: Vec::new(),
        excluding: Vec::new(),
        this_node_only: false,
        droppable: false,
    };
    emit_to(&everyone, event, args)
}

pub(crate) fn emit_to(audience: &Audience, event: &str, args: &Payload) -> Result<(), Failure> {
    state::with(|state| state.emit(audience, event, args)).map(drop)
}

/// Id of a socket, with its ack or the failure.
type Ack = (String, Result<Payload, Failure>);

pub(crate) fn emit_to_with_ack(
    audience: &Audience,
    event: &str,
    args: &Payload,
    _timeout_ms: u32,
) -> Result<Vec<Ack>, Failure> {
    state::with(|state| {
        let asked = state.emit(audience, event, args)?;
        Ok(asked
            .into_iter()
            .map(|id| (id.clone(), state.answer(event, &id)))
            .collect())
    })
}

pub(crate) fn join(audience: &Audience, rooms: &[String]) -> Result<(), Failure> {
    state::with(|state| {
        state
            .reached(audience)
            .for_each(|connection| join_all(connection, rooms))
    });
    Ok(())
}

fn join_all(connection: &mut Connection, rooms: &[String]) {
    for room in rooms {
        if !connection.rooms.contains(room) {
            connection.rooms.push(room.clone());
        }
    }
}

pub(crate) fn leave(audience: &Audience, rooms: &[String]) -> Result<(), Failure> {
    state::with(|state| {
        state
            .reached(audience)
            .for_each(|connection| connection.rooms.retain(|room| !rooms.contains(room)));
    });
    Ok(())
}

pub(crate) fn disconnect(audience: &Audience, close: bool) -> Result<(), Failure> {
    for id in list_ids(audience)? {
        Socket::new(&audience.namespace, &id).disconnect(close);
    }
    Ok(())
}

pub(crate) fn find(namespace: &str, id: &str) -> Option<Socket> {
    let state = state::with(|state| Some(state.connection(namespace, id)?.state))?;
    (state == ConnectionState::Connected).then(|| Socket::new(namespace, id))
}

pub(crate) fn list_ids(audience: &Audience) -> Result<Vec<String>, Failure> {
    Ok(state::with(|state| {
        state
            .reached(audience)
            .map(|connection| connection.id.clone())
            .collect()
    }))
}
