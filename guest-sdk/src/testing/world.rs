//! The state of the test double: the clients, the events that were emitted, and the answers to come. One world for each
//! thread.

use std::cell::RefCell;

use super::emitted::Emitted;
use crate::app::App;
use crate::host::{Audience, wit};
use crate::payload::Payload;

#[derive(Default)]
pub(super) struct World {
    pub(super) connections: Vec<Connection>,
    pub(super) emitted: Vec<Emitted>,
    pub(super) answers: Vec<Answer>,
    pub(super) logged: Vec<String>,
    /// The handler that answers requests from inside.
    pub(super) app: Option<fn() -> App>,
    /// Requests from inside that are being answered.
    pub(super) depth: usize,
}

/// One client in one namespace. It stays here when the client is gone: what was known of it remains readable.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) namespace: String,
    pub(super) remote: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) auth: Option<String>,
    pub(super) context: Vec<(String, String)>,
    pub(super) rooms: Vec<String>,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stage {
    /// `on_connect` runs: nothing can be emitted.
    Connecting,
    Connected,
    Gone,
}

pub(super) struct Answer {
    pub(super) event: String,
    /// `None` for every client.
    pub(super) client: Option<String>,
    pub(super) arguments: Payload,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Not to be nested: handlers' functions must not run inside.
pub(super) fn with<T>(act: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(act)
}

impl World {
    pub(super) fn connection(&mut self, namespace: &str, id: &str) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .rev()
            .find(|connection| connection.namespace == namespace && connection.id == id)
    }

    /// The connected sockets of an audience.
    pub(super) fn reached<'a>(
        &'a mut self,
        audience: &'a Audience,
    ) -> impl Iterator<Item = &'a mut Connection> {
        self.connections.iter_mut().filter(|connection| {
            let is_in = |rooms: &[String]| rooms.iter().any(|room| connection.rooms.contains(room));
            connection.stage == Stage::Connected
                && connection.namespace == audience.namespace
                && (audience.rooms.is_empty() || is_in(&audience.rooms))
                && !is_in(&audience.excluding)
        })
    }

    /// Records an emit, and returns whom it reached.
    pub(super) fn emit(
        &mut self,
        audience: &Audience,
        event: &str,
        args: &wit::Payload,
    ) -> Result<Vec<String>, wit::Failure> {
        const RESERVED: [&str; 6] = [
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        ];
        if RESERVED.contains(&event) {
            return Err(failure(400, &format!("the event name {event} is reserved")));
        }
        if audience.namespace == "/hitchy" {
            return Err(failure(403, "nothing can be emitted to /hitchy"));
        }
        let receivers: Vec<_> = self
            .reached(audience)
            .map(|connection| connection.id.clone())
            .collect();
        self.emitted.push(Emitted::new(
            audience.clone(),
            event,
            args,
            receivers.clone(),
        ));
        Ok(receivers)
    }

    pub(super) fn answer(&self, event: &str, client: &str) -> Result<wit::Payload, wit::Failure> {
        let of_this_event = || {
            self.answers
                .iter()
                .rev()
                .filter(|answer| answer.event == event)
        };
        let own = of_this_event().find(|answer| answer.client.as_deref() == Some(client));
        let answer = own.or_else(|| of_this_event().find(|answer| answer.client.is_none()));
        match answer {
            Some(answer) => Ok(answer.arguments.clone().into()),
            None => Err(failure(504, "the client did not answer in time")),
        }
    }
}

pub(super) fn failure(code: u16, message: &str) -> wit::Failure {
    wit::Failure {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// Sets a key of a context.
pub(super) fn set(
    context: &mut Vec<(String, String)>,
    key: &str,
    value: &str,
) -> Result<(), wit::Failure> {
    let size: usize = context
        .iter()
        .filter(|(other, _)| other != key)
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let count = context.len();
    let known = context.iter_mut().find(|(other, _)| other == key);
    if size + key.len() + value.len() > 16 * 1024 {
        return Err(failure(413, "the context is larger than 16 KiB"));
    }
    match known {
        Some((_, old)) => *old = value.to_owned(),
        None if count == 32 => {
            return Err(failure(413, "the context has more than 32 keys"));
        }
        None => context.push((key.to_owned(), value.to_owned())),
    }
    Ok(())
}
