//! Stands for the import `sockets`.

use super::world::{self, Connection, Stage, failure};
use crate::bindings::hitchy::platform::sockets::Audience;
use crate::bindings::hitchy::platform::types::{Failure, Payload};

pub(crate) struct Socket {
    namespace: String,
    id: String,
}

impl Socket {
    pub(crate) fn new(namespace: &str, id: &str) -> Self {
        Socket {
            namespace: namespace.to_owned(),
            id: id.to_owned(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        world::with(|world| {
            let connection = world.connection(&self.namespace, &self.id);
            act(connection.expect("`testing::reset` was called while this socket was in use"))
        })
    }

    fn alive(&self) -> Result<(), Failure> {
        match self.with(|connection| connection.stage) {
            Stage::Gone => Err(failure(410, "the client is gone")),
            Stage::Connecting | Stage::Connected => Ok(()),
        }
    }

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
        self.id.clone()
    }

    pub(crate) fn namespace(&self) -> String {
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
        self.with(|connection| world::set(&mut connection.context, key, value))
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
        if self.with(|connection| connection.stage) == Stage::Connecting {
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
        world::with(|world| world.answer(event, &self.id))
    }

    pub(crate) fn disconnect(&self, close: bool) {
        world::with(|world| {
            let same = |other: &&mut Connection| {
                other.id == self.id && (close || other.namespace == self.namespace)
            };
            world
                .connections
                .iter_mut()
                .filter(same)
                .for_each(|connection| connection.stage = Stage::Gone);
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
    world::with(|world| world.emit(audience, event, args)).map(drop)
}

/// What one client answered.
type Ack = (String, Result<Payload, Failure>);

pub(crate) fn emit_to_with_ack(
    audience: &Audience,
    event: &str,
    args: &Payload,
    _timeout_ms: u32,
) -> Result<Vec<Ack>, Failure> {
    world::with(|world| {
        let asked = world.emit(audience, event, args)?;
        Ok(asked
            .into_iter()
            .map(|id| (id.clone(), world.answer(event, &id)))
            .collect())
    })
}

pub(crate) fn join(audience: &Audience, rooms: &[String]) -> Result<(), Failure> {
    world::with(|world| {
        world
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
    world::with(|world| {
        world
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
    let stage = world::with(|world| Some(world.connection(namespace, id)?.stage))?;
    (stage == Stage::Connected).then(|| Socket::new(namespace, id))
}

pub(crate) fn list_ids(audience: &Audience) -> Result<Vec<String>, Failure> {
    Ok(world::with(|world| {
        world
            .reached(audience)
            .map(|connection| connection.id.clone())
            .collect()
    }))
}
