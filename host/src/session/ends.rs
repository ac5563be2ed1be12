//! The end of a session: who ended it and why, counted and logged once.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Session;
use crate::ending::Ending;
use crate::metrics::EndedClient;
use crate::outbound::Outbound;

/// The time that a client has to close its connection after it was disconnected from all namespaces.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

impl Session {
    /// Ends the session because the client does not take what it is sent.
    pub fn end_slow_reader(&self, why: Ending) {
        self.end_slow_reader_as(why, why.cause());
    }

    /// Ends the session because the client does not take what it is sent. `cause` completes the sentence in the log.
    pub fn end_slow_reader_as(&self, why: Ending, cause: &str) {
        let waiting = self.outbound().waiting().saturating_add(self.reserved());
        let cause = format_args!("{cause}; {waiting} bytes wait for it");
        self.end_with(why, &cause);
    }

    /// Ends the session. Does nothing if it was ended before.
    pub fn end(&self, why: Ending) {
        self.end_with(why, &why.cause());
    }

    /// Ends the session, and returns false if it was ended before.
    fn end_with(&self, why: Ending, cause: &dyn Display) -> bool {
        if !self.note_end(why, None, cause) {
            return false;
        }
        if let Some(websocket) = &*self.websocket.load() {
            websocket.end(why);
        }
        if let Some(ids) = self.polling.get() {
            // The receiver is dropped once the server has closed. No session is left to close then.
            let _ = self.sessions.closing.send(ids.library.clone());
        }
        true
    }

    /// Counts and logs an end that the library brought about, and its cause. Returns false if an end was noted before.
    pub fn note_end(&self, why: Ending, namespace: Option<&str>, cause: &dyn Display) -> bool {
        if self.ending.set(why).is_err() {
            return false;
        }
        // A handler disconnects connections, and each of these is counted by itself. A shutdown is noted first.
        let is_counted = match why {
            Ending::Closed => true,
            Ending::Shutdown => self.shutdown_noted.swap(true, Ordering::Relaxed),
            _ => false,
        };
        if !is_counted {
            self.metrics()
                .ended(why, self.ended_client(namespace), cause);
        }
        true
    }

    /// Ends the session of a client that does not speak socket.io's protocol. `what` it began with completes the
    /// sentence in the log.
    pub fn end_as_foreign(&self, what: &str) {
        let cause = format_args!("it began with {what}; {}", Ending::Foreign.cause());
        if self.end_with(Ending::Foreign, &cause) {
            self.metrics().foreign_clients.add(1);
        }
    }

    /// Ends the session after a second, in which the client may close it by itself.
    pub fn end_soon(self: &Arc<Self>) {
        if self.ends_soon.swap(true, Ordering::AcqRel) {
            return;
        }
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(CLOSE_GRACE).await;
            if let Some(session) = session.upgrade() {
                session.end(Ending::Closed);
            }
        });
    }

    /// Returns the reason for which the server ended the websocket, if it did.
    pub fn websocket_ending(&self) -> Option<Ending> {
        let websocket = self.websocket.load();
        websocket.as_ref().and_then(|websocket| websocket.ending())
    }

    /// Counts and logs that the server shuts down, once for all connections of the session. The session goes on until
    /// the client has got its last packets.
    pub fn note_shutdown(&self) {
        if self.ending().is_some() || self.shutdown_noted.swap(true, Ordering::Relaxed) {
            return;
        }
        let client = self.ended_client(None);
        self.metrics()
            .ended(Ending::Shutdown, client, &Ending::Shutdown.cause());
    }

    /// Counts and logs that a handler disconnected a socket from a namespace.
    pub fn note_dismissal(&self, socket: &str, namespace: &str) {
        let client = EndedClient {
            socket: Some(socket),
            namespace: Some(namespace),
            remote: &self.remote,
        };
        self.metrics()
            .ended(Ending::Closed, client, &Ending::Closed.cause());
    }

    fn ended_client<'a>(&'a self, namespace: Option<&'a str>) -> EndedClient<'a> {
        EndedClient {
            socket: self.name.get().map(String::as_str),
            namespace,
            remote: &self.remote,
        }
    }

    /// Returns the reason for which the library ended the session, if it did before the client joined a namespace. It
    /// reports no such end.
    pub(super) fn unreported_ending(&self) -> Option<Ending> {
        let ended = self.websocket_ending();
        let is_cut_off = self.of_websocket(Outbound::is_cut_off);
        let is_late = self.opened.elapsed() >= self.sessions.bounds.connect;
        let has_joined = self.claimed.load(Ordering::Acquire);
        let late = || (!has_joined && is_late && !is_cut_off).then_some(Ending::ConnectTimeout);
        ended.or_else(late)
    }
}
