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
//! An `Option` around any of them may be missing. What cannot be taken is refused with a 400 that names the field and what it takes:
//! ``the body does not fit: `room`: expected a string, found the number 5``.
//! What is returned answers: see [`IntoResponse`], [`IntoAck`], [`IntoVerdict`], [`IntoOutcome`].
//!
//! A path is `/api/{name}`, or `/files/{*rest}` for the rest of it. A parameter takes a whole segment; `:name` and `*` are text.
//!
//! # Between calls
//! Each call has an instance of its own, made for it and gone with it: what a `static` or a `thread_local` holds is not there in the
//! next call. What lasts longer than a call is what the server keeps:
//!
//! - the [`Context`] of a connection: who it is, what it may do. A hook sets it (`context.set("user", "ada")`), listeners read and change
//!   it, requests of that client over `/hitchy` start with a copy of it. It goes with the connection and outlives a new version of the
//!   handler.
//! - rooms: [`Socket::join`], [`Socket::leave`], and who is in one: `within("general").ids()` ([`Audience::ids`]). A room goes with the
//!   last connection in it.
//! - what clients themselves keep and send along: cookies, `auth`, the page's own state.
//!
//! ```
//! use hitchy_guest::{App, Auth, Context, Data, Result, Socket};
//!
//! fn app() -> App {
//!     App::new().on_connect("/", admit).on("say", say)
//! }
//!
//! fn admit(Auth(name): Auth<String>, context: Context) -> Result<()> {
//!     context.set("name", &name)
//! }
//!
//! fn say(socket: Socket, Data(text): Data<String>) -> Result<()> {
//!     let name: Option<String> = socket.get("name")?;
//!     Ok(socket.broadcast().emit("said", &(name, text))?)
//! }
//! # app();
//! ```
//!
//! Pages, scripts and pictures need no handler: the server itself serves the files of its folder `public/` where no route answers.
//!
//! # Limits
//! A call has 10 seconds, one of which it may compute, 128 MiB of memory and a small stack, unless the server's settings say otherwise.
//! One that goes beyond is ended, and its client gets a 504 or a 500; no other call is harmed. Waiting counts: with
//! [`Socket::emit_with_ack`] and [`Audience::emit_with_ack`] a call waits no longer than the time it has left, however long the timeout
//! ([`Request::deadline`] tells it). There are no files, no network and no environment.
//!
//! Large values belong into a `Box` or a `Vec`: a stack that is exceeded ends the call as an out of bounds memory access.
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
//! Plain `cargo test` runs a handler without a server. The module `testing`, which exists on every target but WebAssembly, makes up
//! clients, drives the whole app with requests and events, and records what is emitted. Tests stand in the handler's own crate.
//!
//! ```
//! use hitchy_guest::{App, Path, testing};
//!
//! fn app() -> App {
//!     App::new().get("/hello/{name}", |Path(name): Path<String>| format!("hello {name}"))
//! }
//!
//! let app = testing::App::new(app); // in a #[test]
//! assert_eq!(app.get("/hello/Ada").send().text().unwrap(), "hello Ada");
//! ```

mod answer;
mod app;
mod audience;
#[allow(missing_docs, unsafe_code, unreachable_pub)]
mod bindings;
mod connection;
mod context;
mod dispatch;
#[cfg(not(target_family = "wasm"))]
mod double;
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
