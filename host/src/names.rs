//! Names that Hitchy and socket.io reserve. Handlers cannot declare them and nothing can be emitted under them.
//!
//! They are kept apart from the emitter so that a check of names does not depend on the socket.io library.

/// The namespace of `request`, in which nothing else is sent.
pub const REQUESTS: &str = "/hitchy";

/// Names of events that socket.io reserves.
pub const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];
