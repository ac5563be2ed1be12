//! A client's connection to one namespace, with its handshake and its context.
//!
//! A connection outlives calls and reloads. Operations on the client go through [`Link`], so that this folder does not
//! know the socket.io library.

mod counts;

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
/// The most rooms that a connection may be in.
const MAX_ROOMS: usize = 1000;

/// The handshake of a client.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The address of the client.
    pub remote: SocketAddr,
    /// The raw query.
    pub query: String,
    /// The headers of the request that opened the connection.
    pub headers: HeaderMap,
    /// The data of CONNECT, as JSON text.
    pub auth: Option<String>,
}

/// The way to one client, implemented where the socket.io library is known.
pub trait Link: Send + Sync {
    /// Sends an event.
    fn emit(&self, event: &str, payload: &Payload) -> Result<(), Failure>;
    /// Sends an event and waits for its ack.
    fn emit_with_ack<'a>(
        &'a self,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Payload, Failure>>;
    /// The rooms the connection is in.
    fn rooms(&self) -> Vec<String>;
    /// Enters rooms.
    fn join(&self, rooms: Vec<String>);
    /// Leaves rooms.
    fn leave(&self, rooms: Vec<String>);
    /// Disconnects from the namespace; with `close` from every namespace.
    fn disconnect(&self, close: bool);
}

/// A client's connection to one namespace.
pub struct Connection {
    /// The same in every namespace of a client.
    pub id: String,
    /// The namespace: `/` or `/name`.
    pub namespace: Arc<str>,
    /// The handshake with which it was opened.
    pub handshake: Handshake,
    /// The client whose connection it is.
    pub session: Arc<Session>,
    context: Mutex<Context>,
    /// The rooms it was in when it went; none while it is there. Also the lock under which rooms change, so that a
    /// connection that is gone joins nothing.
    left: Mutex<Option<Vec<String>>>,
    /// True if the server ended the connection, because the client may close it before the library says so.
    dismissed: AtomicBool,
    /// Set once CONNECT has been answered, so that the client can be reached.
    answered: SetOnce<()>,
    link: Box<dyn Link>,
}

impl Connection {
    /// A connection that has just been opened.
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
            context: Mutex::default(),
            left: Mutex::new(None),
            dismissed: AtomicBool::new(false),
            answered: SetOnce::new(),
            link,
        }
    }

    /// Notes that CONNECT has been answered.
    pub fn set_answered(&self) {
        // It stays set.
        let _ = self.answered.set(());
    }

    /// Waits until CONNECT has been answered, for at most `longest`.
    pub async fn wait_until_answered(&self, longest: Duration) {
        if !self.answered.initialized() {
            // Without an answer in time the caller finds out that the client cannot be reached.
            let _ = tokio::time::timeout(longest, self.answered.wait()).await;
        }
    }

    /// A value of the context.
    pub fn get(&self, key: &str) -> Option<String> {
        lock(&self.context).get(key).map(str::to_owned)
    }

    /// Sets a value of the context.
    pub fn set(&self, key: String, value: String) -> Result<(), Failure> {
        lock(&self.context).set(key, value)
    }

    /// A copy of the context as it is now.
    pub fn context(&self) -> Context {
        lock(&self.context).clone()
    }

    /// The rooms it is in, or was in when it went.
    pub fn rooms(&self) -> Vec<String> {
        let left = lock(&self.left);
        left.clone().unwrap_or_else(|| self.link.rooms())
    }

    /// Enters rooms.
    pub fn join(&self, rooms: Vec<String>) -> Result<(), Failure> {
        self.change_rooms(|link| {
            check_rooms(&link.rooms(), &rooms)?;
            link.join(rooms);
            Ok(())
        })
    }

    /// Fails if the connection may not enter these rooms too.
    pub fn check_join(&self, rooms: &[String]) -> Result<(), Failure> {
        check_rooms(&self.link.rooms(), rooms)
    }

    /// Leaves rooms.
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
        let left = lock(&self.left);
        if left.is_some() {
            return Err(gone());
        }
        change(self.link.as_ref())
    }

    /// Remembers the rooms, when the client is gone and before the library forgets them.
    pub fn leave_for_good(&self) {
        let mut left = lock(&self.left);
        if left.is_none() {
            *left = Some(self.link.rooms());
        }
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

    /// Disconnects from the namespace; with `close` from every namespace, and the client has a moment to close the
    /// connection below before the server does.
    pub fn disconnect(&self, close: bool) {
        self.dismiss();
        self.link.disconnect(close);
        // In `on-connect` the library does not know it yet.
        if close {
            self.session.end_soon();
        }
    }

    /// Notes that the server is about to end it. The rooms are remembered before the client can know of it and close.
    pub fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.leave_for_good();
    }

    /// Returns true if the connection has ended, from whichever side.
    pub fn is_gone(&self) -> bool {
        lock(&self.left).is_some()
    }

    /// Returns true if the server ended the connection.
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }
}

/// Rooms that it is in already cost nothing.
fn check_rooms(has: &[String], wants: &[String]) -> Result<(), Failure> {
    let most = has.len() + wants.len();
    if most <= MAX_ROOMS {
        return Ok(());
    }
    let all: HashSet<&String> = has.iter().chain(wants).collect();
    if all.len() <= MAX_ROOMS {
        return Ok(());
    }
    Err(Failure::new(
        413,
        format!("a connection may be in {MAX_ROOMS} rooms"),
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
pub fn gone() -> Failure {
    Failure::new(410, "the client is no longer connected")
}

/// Values that hooks, listeners and policies remember: of a connection, or of a request. A clone shares them until it
/// changes.
#[derive(Clone, Debug, Default)]
pub struct Context {
    entries: Arc<Vec<(String, String)>>,
}

impl Context {
    /// A value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Sets a value; 413 when the context would become too large.
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
mod tests {
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

    /// A client that closes as soon as it is told of its end: the library has forgotten its rooms then.
    struct Hasty(Mutex<Vec<String>>);

    impl Link for Hasty {
        fn emit(&self, _: &str, _: &Payload) -> Result<(), Failure> {
            Err(gone())
        }

        fn emit_with_ack<'a>(
            &'a self,
            _: &'a str,
            _: &'a Payload,
            _: Duration,
        ) -> BoxFuture<'a, Result<Payload, Failure>> {
            Box::pin(async { Err(gone()) })
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

    #[test]
    fn c11_rooms_are_remembered_however_fast_a_client_goes() {
        let handshake = Handshake {
            remote: ([127, 0, 0, 1], 1).into(),
            query: String::new(),
            headers: HeaderMap::new(),
            auth: None,
        };
        let link = Box::new(Hasty(Mutex::default()));
        let (sessions, _closing) = crate::session::tests::sessions(1);
        let session = sessions.open(handshake.remote.ip(), None).unwrap();
        let connection = Connection::new("id".into(), "/".into(), handshake, session, link);
        connection.join(vec!["lobby".to_owned()]).unwrap();
        connection.disconnect(false);
        assert_eq!(connection.rooms(), ["lobby"]);
        assert_eq!(connection.join(Vec::new()).unwrap_err().code, 410);
    }
}
