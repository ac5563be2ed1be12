//! A client that comes or goes.

use crate::socket::Socket;

/// A client that comes or goes, as [`FromConnection`](crate::FromConnection) sees it.
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: Socket,
    pub(crate) reason: Option<String>,
}

impl Connection {
    /// The client.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The reason of the end, in `on_disconnect`: one of socket.io's reasons, `transport close` for instance.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
