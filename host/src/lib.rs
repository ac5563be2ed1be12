//! Hitchy, a realtime backend in one binary.
//!
//! Handlers, WebAssembly components in a folder, answer HTTP requests, the same requests over a socket, and socket.io
//! events. ARCHITECTURE.md describes the modules.

pub mod cli;
pub mod cluster;
pub mod config;
pub mod dispatch;
pub mod emitter;
pub mod ending;
pub mod kv;
pub mod lock;
pub mod message;
pub mod metrics;
pub mod names;
pub mod outbound;
pub mod parent;
pub mod path;
pub mod payload;
pub mod registry;
pub mod runtime;
pub mod server;
pub mod session;
pub mod shedding;
pub mod sockets;
pub mod stamp;
pub mod text;
pub mod timetable;
pub mod watch;
