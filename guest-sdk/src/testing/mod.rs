//! A test double of the host: a handler is tested with plain `cargo test`, without a server.
//!
//! Clients are made up, what is emitted is recorded, answers to `emit_with_ack` are prepared. [`App`] drives a whole handler: requests,
//! events, clients that come and go. Functions can also be called directly, with a socket that [`client`] makes.
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
//! Each thread has a world of its own, so tests do not see each other's sockets; [`App::new`] and [`reset`] empty it.

mod app;
mod client;
mod emitted;
mod event;
mod matching;
mod request;

use serde::Serialize;

pub use self::app::App;
pub use self::client::Client;
pub use self::emitted::Emitted;
pub use self::event::Event;
pub use self::request::Request;
use crate::double::world;
use crate::payload::Payload;
use crate::socket::Socket;

/// Forgets all clients, emits, log lines and prepared answers of this thread.
pub fn reset() {
    world::with(|world| *world = world::World::default());
}

/// A client that does not ask a handler's connection hooks: for calling functions directly.
pub fn client() -> Client {
    Client::new(None)
}

/// What has been emitted since the last [`reset`], in order.
pub fn emitted() -> Vec<Emitted> {
    world::with(|world| world.emitted.iter().map(Emitted::new).collect())
}

/// What has been written to the log since the last [`reset`], in order: by [`log`](crate::log), and of errors that the client does
/// not see. Not what is printed.
pub fn logged() -> Vec<String> {
    world::with(|world| world.logged.clone())
}

/// Prepares what every client answers when this event is emitted with ack. Without, clients do not answer: 504.
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
/// When the answer cannot be written as JSON.
pub fn answer<T: Serialize + ?Sized>(event: &str, answer: &T) {
    prepare(event, None, answer);
}

/// Prepares what one client answers when this event is emitted with ack. It goes before what [`answer`] says.
///
/// # Panics
/// When the answer cannot be written as JSON.
pub fn answer_of<T: Serialize + ?Sized>(client: &Socket, event: &str, answer: &T) {
    prepare(event, Some(client.id()), answer);
}

fn prepare<T: Serialize + ?Sized>(event: &str, client: Option<String>, answer: &T) {
    let arguments = Payload::new(answer).expect("a prepared answer can be written as JSON");
    let answer = world::Answer {
        event: event.to_owned(),
        client,
        arguments: arguments.into(),
    };
    world::with(|world| world.answers.push(answer));
}
