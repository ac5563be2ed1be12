//! The first packet of a client, which tells clients of socket.io from others.

use std::sync::Arc;

use crate::session::Session;

/// Watches what a client sends until its first packet of socket.io.
///
/// A session that begins with anything else is ended. The library would close most of these sessions too, and report it
/// to nobody, because no namespace has been joined. Clients that use another parser than socket.io's own connect again
/// and again then.
pub(in crate::server::socketio) struct FirstPacket(Option<Arc<Session>>);

impl FirstPacket {
    /// Watches the client of `session`.
    pub(in crate::server::socketio) fn of(session: &Arc<Session>) -> Self {
        Self((!session.has_spoken()).then(|| Arc::clone(session)))
    }

    /// Watches nothing.
    #[cfg(test)]
    pub(in crate::server::socketio) fn any() -> Self {
        Self(None)
    }

    /// Looks at the start of a packet of engine.io.
    #[inline]
    pub(in crate::server::socketio) fn text(&mut self, start: &[u8]) {
        if self.0.is_some() {
            self.judge(start);
        }
    }

    /// Notes a binary message.
    #[inline]
    pub(in crate::server::socketio) fn binary(&mut self) {
        if let Some(session) = self.0.take() {
            session.end_as_foreign("a binary message");
        }
    }

    /// Stops watching, because the packet is in fragments from which nothing can be told.
    pub(super) fn pass(&mut self) {
        if let Some(session) = self.0.take() {
            session.set_spoken();
        }
    }

    fn judge(&mut self, start: &[u8]) {
        match start {
            [b'4', b'0'..=b'6', ..] | [b'4'] => self.pass(),
            [b'b', ..] => self.binary(),
            [b'0'..=b'3' | b'5' | b'6', ..] | [] => {}
            _ => {
                if let Some(session) = self.0.take() {
                    session.end_as_foreign("a message that is no packet of socket.io");
                }
            }
        }
    }
}
