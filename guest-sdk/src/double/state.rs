//! State of the test double: the connections, the recorded emits and log lines, and the prepared acks. Each thread has
//! its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::http::{HttpRecord, PreparedHttp};
use super::instances::Instances;
use super::kv::Store;
use crate::bindings::hitchy::platform::sockets::Audience;
use crate::bindings::hitchy::platform::types as wit;

/// State of the test double in one thread.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connections: Vec<Connection>,
    pub(crate) emitted: Vec<EmitRecord>,
    pub(crate) answers: Vec<PreparedAck>,
    pub(crate) logged: Vec<String>,
    /// Requests to other servers.
    pub(crate) http_requests: Vec<HttpRecord>,
    /// Answers that a test prepared for requests to other servers.
    pub(crate) http_answers: Vec<PreparedHttp>,
    /// Values and secrets of the configuration.
    pub(crate) config: BTreeMap<String, String>,
    /// Buckets with their keys and values.
    pub(crate) store: Store,
    /// Answers the requests that a handler dispatches. It is `None` until an app is under test.
    pub(crate) dispatcher: Option<Dispatcher>,
    /// Number of dispatched requests that are being answered.
    pub(crate) depth: usize,
    /// The instances of the app under test, and the calls that run in them.
    pub(crate) instances: Instances,
}

/// Function that answers a dispatched request: method, url, headers and body.
pub(crate) type Dispatcher = Rc<dyn Fn(&str, &str, &[(String, String)], &[u8]) -> wit::Response>;

/// One emit as the host would have received it.
#[derive(Clone)]
pub(crate) struct EmitRecord {
    pub(crate) audience: Audience,
    pub(crate) event: String,
    pub(crate) arguments: wit::Payload,
    /// Ids of the sockets that were in the audience.
    pub(crate) receivers: Vec<String>,
}

/// The connection of one client to one namespace. It is kept after a disconnect, because its data can still be read.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) remote: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) auth: Option<String>,
    pub(crate) context: Vec<(String, String)>,
    pub(crate) rooms: Vec<String>,
    pub(crate) state: ConnectionState,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.id, self.namespace)
    }
}

/// Progress of a connection.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ConnectionState {
    /// `on_connect` runs, and nothing can be emitted.
    Connecting,
    Connected,
    Disconnected,
}

/// An ack that a test has prepared for an event.
pub(crate) struct PreparedAck {
    pub(crate) event: String,
    /// Id of the socket that answers. `None` stands for every client.
    pub(crate) client: Option<String>,
    pub(crate) arguments: wit::Payload,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Runs a function with the state of this thread. The function must not run code of a handler, because the state is
/// borrowed mutably and calls cannot be nested.
pub(crate) fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(act)
}

impl State {
    /// Returns the newest connection with this namespace and id, which may be disconnected.
    pub(crate) fn connection(&mut self, namespace: &str, id: &str) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .rev()
            .find(|connection| connection.namespace == namespace && connection.id == id)
    }

    /// Returns the connected sockets of an audience.
    pub(crate) fn reached<'a>(
        &'a mut self,
        audience: &'a Audience,
    ) -> impl Iterator<Item = &'a mut Connection> {
        self.connections.iter_mut().filter(|connection| {
            let is_in = |rooms: &[String]| rooms.iter().any(|room| connection.rooms.contains(room));
            connection.state == ConnectionState::Connected
                && connection.namespace == audience.namespace
                && (audience.rooms.is_empty() || is_in(&audience.rooms))
                && !is_in(&audience.excluding)
        })
    }

    /// Records an emit and returns the ids of its receivers.
    pub(crate) fn emit(
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
        self.emitted.push(EmitRecord {
            audience: audience.clone(),
            event: event.to_owned(),
            arguments: args.clone(),
            receivers: receivers.clone(),
        });
        Ok(receivers)
    }

    /// Returns the prepared ack of a client, or 504. The newest ack wins, and an ack of this client takes
    /// precedence over one of every client.
    pub(crate) fn answer(&self, event: &str, client: &str) -> Result<wit::Payload, wit::Failure> {
        let of_this_event = || {
            self.answers
                .iter()
                .rev()
                .filter(|answer| answer.event == event)
        };
        let own = of_this_event().find(|answer| answer.client.as_deref() == Some(client));
        let answer = own.or_else(|| of_this_event().find(|answer| answer.client.is_none()));
        match answer {
            Some(answer) => Ok(answer.arguments.clone()),
            None => Err(failure(504, "the client did not answer in time")),
        }
    }
}

/// Creates a failure without data.
pub(crate) fn failure(code: u16, message: &str) -> wit::Failure {
    wit::Failure {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// Sets a key of a context.
pub(crate) fn set(
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
