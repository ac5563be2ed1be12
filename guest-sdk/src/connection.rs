//! A client that connects to a namespace or disconnects from it.

use crate::socket::Socket;

/// A client that connects or disconnects: the source from which [`FromConnection`](crate::FromConnection) extracts.
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: Socket,
    pub(crate) reason: Option<String>,
}

impl Connection {
    /// Returns the socket of the client.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Returns the reason of the disconnect in socket.io's words, for example `transport close`.
    ///
    /// It is `None` outside of `on_disconnect`.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
