//! A client's connection to one namespace, with its handshake and its context.
//!
//! A connection outlives calls and reloads. Operations on the client go through [`Link`], so that this folder does not
//! know the socket.io library.

mod attachments;
mod counts;

pub use self::attachments::{Attachment, Attachments};
pub use self::counts::{CountGuard, SocketCount, SocketCounts};

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderMap;
use tokio::sync::SetOnce;

use crate::lock::lock;
use crate::payload::{Failure, Payload};
use crate::session::Session;

/// The most keys that a context holds.
const CONTEXT_KEYS: usize = 32;
/// The most bytes of keys and values that a context holds.
const CONTEXT_BYTES: usize = 16 * 1024;
/// The most rooms that one connection may be in, its own included.
const MAX_ROOMS_PER_SOCKET: usize = 1000;

/// The handshake of a client.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The address of the client.
    pub remote: SocketAddr,
    /// The query string as it was sent, without `?`.
    pub query: String,
    /// The headers of the request that opened the connection.
    pub headers: HeaderMap,
    /// The data of CONNECT, as JSON text.
    pub auth: Option<String>,
}

/// The operations on one client, implemented by the module that uses the socket.io library.
pub trait Link: Send + Sync {
    /// Sends an event to the client.
    fn emit(&self, event: &str, payload: &Payload) -> Result<(), Failure>;
    /// Sends an event to the client and waits for its ack.
    fn emit_with_ack<'a>(
        &'a self,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Payload, Failure>>;
    /// Returns the rooms that the connection is in.
    fn rooms(&self) -> Vec<String>;
    /// Adds the connection to rooms.
    fn join(&self, rooms: Vec<String>);
    /// Removes the connection from rooms.
    fn leave(&self, rooms: Vec<String>);
    /// Disconnects the client from the namespace, or from every namespace if `close` is true.
    fn disconnect(&self, close: bool);
}

/// A client's connection to one namespace.
pub struct Connection {
    /// The id of the socket, the same in every namespace of a client.
    pub id: String,
    /// The namespace: `/` or `/name`.
    pub namespace: Arc<str>,
    /// The handshake with which the connection was opened.
    pub handshake: Handshake,
    /// The session of the client.
    pub session: Arc<Session>,
    /// The things that others keep with the connection.
    pub attachments: Attachments,
    context: Mutex<Context>,
    /// The rooms that the connection was in when it ended, or none while it is connected. Rooms change only under this
    /// lock, so that a connection that has ended joins no room.
    last_rooms: Mutex<Option<Vec<String>>>,
    /// True if the server ended the connection, because the client may close it before the library says so.
    dismissed: AtomicBool,
    /// Set once CONNECT has been answered or the connection has ended, whichever comes first.
    settled: SetOnce<()>,
    link: Box<dyn Link>,
}

impl Connection {
    /// Makes the connection of a client that is about to be admitted to a namespace.
    pub fn new(
        id: String,
        namespace: Arc<str>,
        handshake: Handshake,
        session: Arc<Session>,
        link: Box<dyn Link>,
    ) -> Self {
        Self {
            id,
            namespace,
            handshake,
            session,
            attachments: Attachments::default(),
            context: Mutex::default(),
            last_rooms: Mutex::new(None),
            dismissed: AtomicBool::new(false),
            settled: SetOnce::new(),
            link,
        }
    }

    /// Notes that CONNECT has been answered.
    pub fn set_answered(&self) {
        // It is set already if the connection has ended meanwhile.
        let _ = self.settled.set(());
    }

    /// Waits until CONNECT has been answered or the connection has ended, for at most `longest`.
    pub async fn wait_until_settled(&self, longest: Duration) {
        if !self.settled.initialized() {
            // A caller that waited in vain finds out by itself that the client cannot be reached.
            let _ = tokio::time::timeout(longest, self.settled.wait()).await;
        }
    }

    /// Returns a value of the context.
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.context).get(key).map(str::to_owned)
    }

    /// Sets a value of the context. Fails with 413 if the context would become too large.
    pub fn set(&self, key: String, value: String) -> Result<(), Failure> {
        lock(&self.context).set(key, value)
    }

    /// Returns a copy of the context.
    pub fn context(&self) -> Context {
        lock(&self.context).clone()
    }

    /// Returns the rooms that the connection is in, or was in when it ended.
    pub fn rooms(&self) -> Vec<String> {
        let last_rooms = lock(&self.last_rooms);
        last_rooms.clone().unwrap_or_else(|| self.link.rooms())
    }

    /// Adds the connection to rooms. Fails with 410 if it has ended, and with 413 if it would be in too many rooms.
    pub fn join(&self, rooms: Vec<String>) -> Result<(), Failure> {
        self.change_rooms(|link| {
            check_rooms(&link.rooms(), &rooms)?;
            link.join(rooms);
            Ok(())
        })
    }

    /// Fails with 413 if the connection would be in too many rooms after joining these.
    pub fn check_join(&self, rooms: &[String]) -> Result<(), Failure> {
        check_rooms(&self.link.rooms(), rooms)
    }

    /// Removes the connection from rooms. Fails with 410 if it has ended.
    pub fn leave(&self, rooms: Vec<String>) -> Result<(), Failure> {
        self.change_rooms(|link| {
            link.leave(rooms);
            Ok(())
        })
    }

    fn change_rooms(
        &self,
        change: impl FnOnce(&dyn Link) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let last_rooms = lock(&self.last_rooms);
        if last_rooms.is_some() {
            return Err(not_connected());
        }
        change(self.link.as_ref())
    }

    /// Marks the connection as ended and stores its rooms before the library forgets them. Later calls do nothing.
    pub fn mark_ended(&self) {
        let mut last_rooms = lock(&self.last_rooms);
        if last_rooms.is_none() {
            *last_rooms = Some(self.link.rooms());
        }
        drop(last_rooms);
        // It is set already if CONNECT has been answered, as it usually has.
        let _ = self.settled.set(());
    }

    /// Sends an event to this client.
    pub fn emit(&self, event: &str, payload: &Payload) -> Result<(), Failure> {
        self.session.metrics().emits_to_one.one();
        self.link.emit(event, payload)
    }

    /// Sends an event to this client and waits for its ack.
    pub async fn emit_with_ack(
        &self,
        event: &str,
        payload: &Payload,
        timeout: Duration,
    ) -> Result<Payload, Failure> {
        self.session.metrics().emits_to_one.one();
        self.link.emit_with_ack(event, payload, timeout).await
    }

    /// Disconnects the client from the namespace, or from every namespace if `close` is true. With `close` the server
    /// ends the session after a second, unless the client has closed it by itself.
    pub fn disconnect(&self, close: bool) {
        self.dismiss();
        self.link.disconnect(close);
        // During `on-connect` the library does not know this socket yet, so the link cannot end the session.
        if close {
            self.session.end_soon();
        }
    }

    /// Notes that the server is about to end the connection. The rooms are stored before the client can learn of the
    /// end and close the connection.
    pub fn dismiss(&self) {
        // Set before the rooms are stored: a thread that sees that the connection has ended also sees that the server
        // did it.
        let was_dismissed = self.dismissed.swap(true, Ordering::AcqRel);
        self.mark_ended();
        if !was_dismissed {
            self.session.note_dismissal(&self.id, &self.namespace);
        }
    }

    /// Returns true if the connection has ended, from either side.
    pub fn has_ended(&self) -> bool {
        lock(&self.last_rooms).is_some()
    }

    /// Returns true if the server ended the connection.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }
}

/// Fails with 413 if the rooms of both lists together are too many. A room that is in both lists counts once.
fn check_rooms(has: &[String], wants: &[String]) -> Result<(), Failure> {
    // The usual case needs no set.
    let most = has.len() + wants.len();
    if most <= MAX_ROOMS_PER_SOCKET {
        return Ok(());
    }
    let all: HashSet<&String> = has.iter().chain(wants).collect();
    if all.len() <= MAX_ROOMS_PER_SOCKET {
        return Ok(());
    }
    Err(Failure::new(
        413,
        format!("a connection may be in {MAX_ROOMS_PER_SOCKET} rooms"),
    ))
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("id", &self.id)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Returns the failure of an operation on a connection that has ended.
pub fn not_connected() -> Failure {
    Failure::new(410, "the client is no longer connected")
}

/// Values that hooks, listeners and policies remember: of a connection, or of a request. A clone shares them until it
/// changes.
#[derive(Clone, Debug, Default)]
pub struct Context {
    entries: Arc<Vec<(String, String)>>,
}

impl Context {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all keys with their values.
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// Sets the value of a key. Fails with 413 if the context would become too large.
    pub fn set(&mut self, key: String, value: String) -> Result<(), Failure> {
        let others = self.entries.iter().filter(|(name, _)| *name != key);
        let (count, size) = others.fold((0, 0), |(count, size), (name, value)| {
            (count + 1, size + name.len() + value.len())
        });
        if count >= CONTEXT_KEYS {
            return Err(Failure::new(
                413,
                format!("the context holds {CONTEXT_KEYS} keys at most"),
            ));
        }
        if size + key.len() + value.len() > CONTEXT_BYTES {
            return Err(Failure::new(
                413,
                format!("the context holds {CONTEXT_BYTES} bytes at most"),
            ));
        }
        let entries = Arc::make_mut(&mut self.entries);
        entries.retain(|(name, _)| *name != key);
        entries.push((key, value));
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_context_holds_32_keys() {
        let mut context = Context::default();
        for index in 0..32 {
            context
                .set(format!("key{index}"), "value".to_owned())
                .expect("32 keys fit");
        }
        context
            .set("key3".to_owned(), "other".to_owned())
            .expect("a key it has can be set again");
        assert_eq!(context.get("key3"), Some("other"));
        assert_eq!(
            context
                .set("one more".to_owned(), String::new())
                .unwrap_err()
                .code,
            413
        );
    }

    #[test]
    fn a_context_holds_16_kib() {
        let mut context = Context::default();
        context
            .set("key".to_owned(), "x".repeat(16 * 1024 - 3))
            .expect("16 KiB fit");
        assert_eq!(
            context.set("k".to_owned(), String::new()).unwrap_err().code,
            413
        );
    }

    #[test]
    fn a_copy_does_not_change_the_original() {
        let mut original = Context::default();
        original.set("user".to_owned(), "ann".to_owned()).unwrap();
        let mut copy = original.clone();
        copy.set("user".to_owned(), "bob".to_owned()).unwrap();
        assert_eq!(original.get("user"), Some("ann"));
    }

    /// A client that closes as soon as it receives the disconnect. The library has forgotten its rooms then.
    struct Hasty(Mutex<Vec<String>>);

    impl Link for Hasty {
        fn emit(&self, _: &str, _: &Payload) -> Result<(), Failure> {
            Err(not_connected())
        }

        fn emit_with_ack<'a>(
            &'a self,
            _: &'a str,
            _: &'a Payload,
            _: Duration,
        ) -> BoxFuture<'a, Result<Payload, Failure>> {
            Box::pin(async { Err(not_connected()) })
        }

        fn rooms(&self) -> Vec<String> {
            lock(&self.0).clone()
        }

        fn join(&self, rooms: Vec<String>) {
            lock(&self.0).extend(rooms);
        }

        fn leave(&self, _: Vec<String>) {}

        fn disconnect(&self, _: bool) {
            lock(&self.0).clear();
        }
    }

    /// Makes a connection whose client takes nothing.
    pub(crate) fn connection() -> Connection {
        let handshake = Handshake {
            remote: ([127, 0, 0, 1], 1).into(),
            query: String::new(),
            headers: HeaderMap::new(),
            auth: None,
        };
        let link = Box::new(Hasty(Mutex::default()));
        let (sessions, _closing) = crate::session::tests::sessions(1);
        let session = sessions.open(handshake.remote.ip(), None).unwrap();
        Connection::new("id".into(), "/".into(), handshake, session, link)
    }

    #[test]
    fn c11_rooms_are_remembered_however_fast_a_client_goes() {
        let connection = connection();
        connection.join(vec!["lobby".to_owned()]).unwrap();
        connection.disconnect(false);
        assert_eq!(connection.rooms(), ["lobby"]);
        assert_eq!(connection.join(Vec::new()).unwrap_err().code, 410);
    }

    #[tokio::test]
    async fn c12_who_waits_for_connect_is_woken_by_its_answer_and_by_the_end() {
        const LONG: Duration = Duration::from_secs(3600);
        let ways: [fn(&Connection); 3] = [
            Connection::set_answered,
            Connection::mark_ended,
            |connection| connection.disconnect(false),
        ];
        for way in ways {
            let connection = connection();
            let mut waiting = Box::pin(connection.wait_until_settled(LONG));
            assert!(futures_util::poll!(&mut waiting).is_pending());
            way(&connection);
            assert!(futures_util::poll!(&mut waiting).is_ready());
        }
    }
}
