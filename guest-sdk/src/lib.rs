//! Write handlers for Hitchy in Rust.
//!
//! A handler is one WebAssembly component in the server's handlers folder. It answers HTTP requests, the same requests
//! over socket.io, and custom socket.io events, and it can emit to every connected client. This is a complete handler:
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
//! The crate is a library with `crate-type = ["cdylib"]` that depends on `hitchy-guest`, `serde` and `serde_json`.
//! `hitchy dev` builds and serves it. To build it by hand, run:
//!
//! ```text
//! RUSTFLAGS="-Clink-arg=-zstack-size=65536" cargo build --release --target wasm32-wasip2
//! ```
//!
//! The small stack keeps the memory at two pages. By default every call runs in a fresh instance, so a small handler is
//! a fast one. This profile makes it smaller and faster than the default profile:
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
//! A route, policy, listener, hook or schedule is a function, or a closure that captures nothing. Its arguments are
//! extracted from the request, the event, the connection or the time:
//!
//! - From a request, by [`FromRequest`]: [`Path`], [`Query`], [`Json`], [`Form`], [`Text`], [`Bytes`], [`Headers`],
//!   [`Context`], [`Socket`], [`Request`].
//! - From an event, by [`FromEvent`]: [`Data`], [`Socket`], [`Context`], [`AckWanted`], [`EventName`], [`Auth`],
//!   [`Headers`], [`Query`], [`Payload`].
//! - From a connection, by [`FromConnection`]: [`Socket`], [`Context`], [`Auth`], [`Headers`], [`Query`], [`Reason`].
//! - From a schedule, by [`FromSchedule`]: [`Due`].
//!
//! An argument `Option<T>` is `None` when the value is missing. A value that does not fit is refused with a 400 that
//! names the field and the expected type: ``the body does not fit: `room`: expected a string, found the number 5``.
//!
//! The return value becomes the answer: see [`IntoResponse`], [`IntoAck`], [`IntoVerdict`], [`IntoOutcome`].
//!
//! A path is written `/api/{name}`, or `/files/{*rest}` to match the rest of a path. A parameter matches one complete
//! segment. `:name` and `*` are plain text.
//!
//! # Between calls
//! The values of `static`s and `thread_local`s, and those of [`instance::with`], last as long as the instance. The
//! operator chooses how long that is, with the setting `instances` of the handler:
//!
//! - `"call"`, the default: each call has a fresh instance, and nothing in memory is seen by another call.
//! - `"socket"`: the hooks and events of one client in one namespace have one instance, from `on_connect` to
//!   `on_disconnect`. Requests and schedules have fresh ones.
//! - `"shared"`: calls of all clients have the instances of a pool, one call at a time in each.
//!
//! An instance that lives longer than a call may end between any two calls: when it was idle, when memory is short,
//! after a panic or a timeout, with a new version of the handler. What is in memory is therefore a cache: see
//! [`instance`]. The following state lasts longer, whatever the setting:
//!
//! - Keys and values in the handler's bucket, with [`kv`]: they outlive the server.
//! - The [`Context`] of a connection, for example the user and their rights. A hook sets it (`context.set("user",
//!   "ada")`), listeners read and change it, and requests of that client over `/hitchy` start with a copy of it. It
//!   ends with the connection and outlives a new version of the handler.
//! - Rooms: [`Socket::join`], [`Socket::leave`], and the members of a room with `within("general").ids()`
//!   ([`Audience::ids`]). A room ends when the last connection leaves it.
//! - State that clients keep themselves and send along: cookies, `auth`, and the page's own state.
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
//! Pages, scripts and pictures do not need a handler. The server serves the files of its folder `public/` where no
//! route answers.
//!
//! # Limits
//! A call has 10 seconds, of which it may compute for one second, 128 MiB of memory and a small stack, unless the
//! server's settings say otherwise. A call that exceeds a limit is ended, and its client receives a 504 or a 500. Other
//! calls are not affected. Waiting counts as well: [`Socket::emit_with_ack`] and [`Audience::emit_with_ack`] wait no
//! longer than the time that the call has left ([`Request::deadline`]), even if the timeout is longer. A handler has no
//! access to files or to environment variables, and calls only the servers that the operator allows: see [`http`]. The
//! operator gives it values and secrets, which [`config`] reads.
//!
//! Large values belong into a `Box` or a `Vec`. A stack overflow ends the call as an out of bounds memory access.
//!
//! # Errors
//! [`Failure::new(409, "…")`](Failure::new) is sent to the client. The `?` operator on any other error answers 500 and
//! writes the error to the log. [`log`] writes to the server's log. `println!`, `eprintln!` and panics are written
//! there too, with the name of the handler and the id of the call.
//!
//! # Emitting
//! [`emit()`] reaches every socket of namespace `/`, [`to`] the sockets in a room, [`of`] another namespace,
//! [`Socket::emit`] one client, and [`Socket::to`] and [`Socket::broadcast`] all but one client. A tuple is sent as
//! several arguments, and [`Bytes`] may be anywhere inside.
//!
//! # Testing
//! `cargo test` runs a handler without a server. The module `testing`, which exists on every target except WebAssembly,
//! creates clients, sends requests and events to the app, and records emits. The tests are part of the handler's own
//! crate.
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
mod check;
mod claim;
pub mod config;
mod connection;
mod context;
mod dispatch;
#[cfg(not(target_family = "wasm"))]
mod double;
mod due;
mod emit;
mod error;
mod event;
#[cfg(target_family = "wasm")]
mod exports;
mod extract;
mod function;
mod headers;
mod host;
pub mod http;
pub mod instance;
pub mod kv;
mod life;
pub mod log;
mod mismatch;
mod payload;
#[cfg(target_family = "wasm")]
mod print;
mod request;
mod socket;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod time;
mod tuples;
mod urlencoded;
mod values;

pub use self::answer::{
    Format, Html, IntoAck, IntoHeaders, IntoOutcome, IntoResponse, IntoVerdict, Redirect, Response,
    format, redirect,
};
pub use self::app::{App, Namespace};
pub use self::audience::{Acks, Audience, IntoRooms};
pub use self::check::trimmed;
pub use self::connection::Connection;
pub use self::context::Context;
pub use self::dispatch::{Dispatch, dispatch};
pub use self::due::Due;
pub use self::emit::{emit, except, find, of, to, within};
pub use self::error::{Error, Failure, Result};
pub use self::event::Event;
pub use self::extract::{
    AckWanted, Auth, Data, EventName, Form, FromConnection, FromEvent, FromRequest, FromSchedule,
    Json, Path, Query, Reason, Status, Text,
};
pub use self::function::Function;
pub use self::headers::Headers;
pub use self::payload::{Bytes, Payload};
pub use self::request::Request;
pub use self::socket::Socket;
pub use self::time::now_ms;

/// The code of the guide, run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers.md")]
mod guide {}

/// Exports a handler, given the function that builds its [`App`].
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
                // Six exports call this function. Inlining it would put six copies of the app into the component.
                #[inline(never)]
                fn app() -> $crate::App {
                    $app()
                }
            }

            type Exports = $crate::__private::Exports<Handler>;

            $crate::__private::bindings::export_handler!(Exports with_types_in $crate::__private::bindings);
        };

        // Targets other than WebAssembly have no host. The app is used by tests, or not at all.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> $crate::App = $app;
    };
}

/// Items that the expansion of `export!` refers to.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod __private {
    /// The path at which the macro of wit-bindgen looks for the bindings.
    pub mod bindings {
        pub use crate::bindings::*;
    }
    pub use crate::exports::{Exports, Handler};
}
