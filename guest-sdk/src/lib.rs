//! Write handlers for Hitchy in Rust.
//!
//! A handler is one WebAssembly component in the server's handlers folder. It answers HTTP requests, the same requests over
//! socket.io, and custom socket.io events, and it can emit to every connected client. This is a whole one:
//!
//! ```
//! use hitchy_guest::{App, Data, Json, Path, Result, Socket, emit};
//!
//! #[derive(serde::Deserialize, serde::Serialize)]
//! struct Message { room: String, text: String }
//!
//! fn app() -> App {
//!     App::new()
//!         .get("/api/hello/{name}", hello)
//!         .on_connect("/", |socket: Socket| { /* … */ })
//!         .on("chat:send", send)
//! }
//!
//! fn hello(Path(name): Path<String>) -> Json<serde_json::Value> { Json(serde_json::json!({ "hello": name })) }
//!
//! fn send(socket: Socket, Data(message): Data<Message>) -> Result<&'static str> {
//!     socket.to(&message.room).emit("chat:message", &message)?;
//!     emit("some-update", &message)?;
//!     Ok("sent")
//! }
//!
//! hitchy_guest::export!(app);
//! ```
//!
//! # Building
//! The crate is a library with `crate-type = ["cdylib"]` that depends on `hitchy-guest`, `serde` and `serde_json`. `hitchy dev` builds
//! and serves it; by hand it is
//!
//! ```text
//! RUSTFLAGS="-Clink-arg=-zstack-size=65536" cargo build --release --target wasm32-wasip2
//! ```
//!
//! The small stack keeps the memory at two pages. Every call runs in a fresh instance, so what is small is fast; this profile is both
//! smaller and faster than the default one:
//!
//! ```toml
//! [profile.release]
//! opt-level = "s"
//! lto = true
//! codegen-units = 1
//! strip = "debuginfo" # keeps the names, so that a trap can be read in the log
//! ```
//!
//! # Functions
//! A route, policy, listener or hook is a function, or a closure that captures nothing. Its arguments are taken from what is at hand:
//!
//! | from | by | for instance |
//! |---|---|---|
//! | a request | [`FromRequest`] | [`Path`], [`Query`], [`Json`], [`Form`], [`Text`], [`Bytes`], [`Headers`], [`Context`], [`Socket`], [`Request`] |
//! | an event | [`FromEvent`] | [`Data`], [`Socket`], [`Context`], [`AckWanted`], [`EventName`], [`Auth`], [`Headers`], [`Query`], [`Payload`] |
//! | a connection | [`FromConnection`] | [`Socket`], [`Context`], [`Auth`], [`Headers`], [`Query`], [`Reason`] |
//!
//! An `Option` around any of them may be missing. What cannot be taken is refused with a 400 that says what was wrong.
//! What is returned answers: see [`IntoResponse`], [`IntoAck`], [`IntoVerdict`], [`IntoOutcome`].
//!
//! # Errors
//! [`Failure::new(409, "…")`](Failure::new) is for the client. `?` on any other error answers 500 and writes its text to the log.
//! [`log`] writes to the host's log; `println!`, `eprintln!` and panics end there too, with the handler's name and the call's id.
//!
//! # Emitting
//! [`emit()`] reaches every socket of namespace `/`, [`to`] those in a room, [`of`] another namespace, [`Socket::emit`] one client,
//! [`Socket::to`] and [`Socket::broadcast`] the others. A tuple is several arguments, [`Bytes`] may be anywhere inside.
//!
//! # Testing
//! Plain `cargo test` runs a handler without a server: see `testing`, which exists on every target but WebAssembly.

mod answer;
mod app;
mod audience;
#[allow(missing_docs, unsafe_code, unreachable_pub)]
mod bindings;
mod connection;
mod context;
mod dispatch;
mod emit;
mod error;
mod event;
#[cfg(target_family = "wasm")]
mod exports;
mod extract;
mod function;
mod headers;
mod host;
pub mod log;
mod mismatch;
mod payload;
#[cfg(target_family = "wasm")]
mod print;
mod request;
mod socket;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod tuples;
mod urlencoded;

pub use self::answer::{
    Format, Html, IntoAck, IntoHeaders, IntoOutcome, IntoResponse, IntoVerdict, Redirect, Response,
    format, redirect,
};
pub use self::app::{App, Namespace};
pub use self::audience::{Acks, Audience, IntoRooms};
pub use self::connection::Connection;
pub use self::context::Context;
pub use self::dispatch::{Dispatch, dispatch};
pub use self::emit::{emit, except, find, of, to, within};
pub use self::error::{Error, Failure, Result};
pub use self::event::Event;
pub use self::extract::{
    AckWanted, Auth, Data, EventName, Form, FromConnection, FromEvent, FromRequest, Json, Path,
    Query, Reason, Status, Text,
};
pub use self::function::Function;
pub use self::headers::Headers;
pub use self::payload::{Bytes, Payload};
pub use self::request::Request;
pub use self::socket::Socket;

/// The guide's code, run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers.md")]
mod guide {}

/// Makes a handler of the function that makes its [`App`].
///
/// ```
/// use hitchy_guest::App;
///
/// fn app() -> App {
///     App::new().get("/", || "hello")
/// }
///
/// hitchy_guest::export!(app);
/// ```
#[macro_export]
macro_rules! export {
    ($app:path) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            struct Handler;

            impl $crate::__private::Handler for Handler {
                // Five exports build it: one copy of the code is enough.
                #[inline(never)]
                fn app() -> $crate::App {
                    $app()
                }
            }

            type Exports = $crate::__private::Exports<Handler>;

            $crate::__private::bindings::export_handler!(Exports with_types_in $crate::__private::bindings);
        };

        // Elsewhere there is no host: the app is used by tests, or not at all.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::App = $app;
    };
}

/// For `export!` only.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod __private {
    /// Where the generated macro looks for what it needs.
    pub mod bindings {
        pub use crate::bindings::*;
    }
    pub use crate::exports::{Exports, Handler};
}
