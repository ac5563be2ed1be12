//! A test double of the host, with which `cargo test` runs a handler without a server.
//!
//! The double simulates clients, records emits, and gives prepared answers to `emit_with_ack`. [`App`] drives a
//! complete handler with requests, events, and clients that connect and disconnect. A test can also call a function
//! directly, with a socket that [`client`] makes.
//!
//! ```
//! use hitchy_guest::{App, Data, Path, Result, Socket, testing};
//!
//! fn app() -> App {
//!     App::new().get("/api/hello/{name}", hello).on("shout", shout)
//! }
//!
//! fn hello(Path(name): Path<String>) -> String {
//!     format!("hello {name}")
//! }
//!
//! fn shout(socket: Socket, Data(text): Data<String>) -> Result<usize> {
//!     socket.broadcast().emit("shouted", &text.to_uppercase())?;
//!     Ok(text.len())
//! }
//!
//! // As clients see it:
//! let app = testing::App::new(app);
//! assert_eq!(app.get("/api/hello/Ada").send().text().unwrap(), "hello Ada");
//!
//! let (ada, bob) = (app.client().connect(), app.client().connect());
//! let ack = app.event("shout", "hey").from(&ada).send().unwrap();
//! assert_eq!(ack.data::<usize>().unwrap(), 3);
//!
//! let emitted = testing::emitted();
//! assert_eq!(emitted[0].event, "shouted");
//! assert_eq!(emitted[0].data::<String>().unwrap(), "HEY");
//! assert!(emitted[0].reached(&bob) && !emitted[0].reached(&ada));
//!
//! // Or one function alone:
//! assert_eq!(shout(testing::client().connect(), Data("hi".to_owned())).unwrap(), 2);
//! ```
//!
//! Each thread has a state of its own, so tests do not see each other's sockets. [`App::new`] and [`reset`] clear it.
//!
//! Each call has a fresh instance, as on the server. [`App::instances`] plays instances that live longer.

mod app;
mod backends;
mod client;
mod emitted;
mod event;
mod http;
mod matching;
mod play;
mod request;

use serde::Serialize;

pub use self::app::App;
pub use self::backends::{Access, bucket, grant_bucket, set_config};
pub use self::client::Client;
pub use self::emitted::Emitted;
pub use self::event::Event;
pub use self::http::{HttpAnswer, HttpRequest, http_requests, on_http, on_http_with};
pub use self::request::Request;
use crate::double::state;
use crate::payload::Payload;
use crate::socket::Socket;

/// Removes all clients, emits, log lines, prepared answers, requests to other servers, buckets, values of the
/// configuration and instances of this thread. Instances then live for one call.
pub fn reset() {
    state::with(|state| *state = state::State::default());
}

/// Starts a client that runs no connection hooks, for tests that call functions directly.
pub fn client() -> Client {
    Client::new(None)
}

/// Returns the emits since the last [`reset`] in their order.
pub fn emitted() -> Vec<Emitted> {
    state::with(|state| state.emitted.iter().map(Emitted::new).collect())
}

/// Returns the messages in the log since the last [`reset`] in their order.
///
/// These are the messages that [`log`](crate::log) wrote, and the texts of errors that the client does not see. Printed
/// output is not included.
pub fn logged() -> Vec<String> {
    state::with(|state| state.logged.clone())
}

/// Prepares the ack of every client to an event. Without a prepared ack, `emit_with_ack` fails with 504.
///
/// ```
/// use std::time::Duration;
/// use hitchy_guest::testing;
///
/// testing::answer("sum?", &42);
/// let client = testing::client().connect();
/// assert_eq!(client.emit_with_ack::<u8>("sum?", &(40, 2), Duration::from_secs(1)), Ok(42));
/// ```
///
/// # Panics
/// Panics when the answer cannot be written as JSON.
pub fn answer<T: Serialize + ?Sized>(event: &str, answer: &T) {
    prepare(event, None, answer);
}

/// Prepares the ack of one client to an event. It takes precedence over an ack that [`answer`] prepared.
///
/// # Panics
/// Panics when the answer cannot be written as JSON.
pub fn answer_of<T: Serialize + ?Sized>(client: &Socket, event: &str, answer: &T) {
    prepare(event, Some(client.id()), answer);
}

fn prepare<T: Serialize + ?Sized>(event: &str, client: Option<String>, answer: &T) {
    let arguments = Payload::new(answer).expect("a prepared answer can be written as JSON");
    let answer = state::PreparedAck {
        event: event.to_owned(),
        client,
        arguments: arguments.into(),
    };
    state::with(|state| state.answers.push(answer));
}
