//! A client that other clients must not be able to harm, and a check that the log explains why a connection ended.

use serde_json::json;

use super::{RawClient, RawSocket};
use crate::server::Plan;
use crate::wait::{SOON, within};
use crate::{Server, guest};

/// Phrases that explain the end of a connection. A log line about such an end contains at least one of them.
const CAUSES: [&str; 6] = [
    "cannot be understood",
    "closed",
    "ended",
    "disconnected",
    "larger than",
    "does not take",
];

/// The part of a log line that names a client by its address. All clients of the tests come from this address.
const ADDRESS: &str = "remote=127.0.0.1";

/// A server with the guest `probe`, and a connected client in `/` whose events must always be answered.
pub struct Witness {
    /// The server under test.
    pub server: Server,
    client: RawSocket,
    asked: u64,
}

impl Witness {
    /// Starts a server with default settings and connects the client.
    pub async fn start() -> Self {
        Self::start_with(Server::prepare()).await
    }

    /// Adds the guest `probe` to the server of `plan`, starts it, and connects the client.
    ///
    /// # Panics
    /// Panics if the server does not start, or if it refuses the client.
    pub async fn start_with(plan: Plan) -> Self {
        let plan = plan.handler("probe.wasm", guest("probe"));
        let server = plan.start().await;
        let client = RawSocket::connect(server.addr(), "/").await;
        Self {
            client: client.expect("let in"),
            server,
            asked: 0,
        }
    }

    /// Connects another client to `/` over `websocket` or `polling`. Tests use it to misbehave.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
    pub async fn other(&self, transport: &str) -> RawClient {
        RawClient::connect(transport, self.server.addr(), "/").await
    }

    /// Asserts that the client's events are still answered, and that the server runs and did not panic.
    ///
    /// # Panics
    /// Panics if no answer arrives within 10 seconds, or if the server ended or panicked.
    pub async fn assert_unharmed(&mut self) {
        self.asked += 1;
        let args = [json!(self.asked)];
        let answer = self.client.ask("echo", &args);
        let answer = within("the witness is answered", SOON, answer);
        let answer = answer.await.expect("the witness is still connected");
        assert_eq!(answer, format!("[{}]", self.asked));
        self.server.assert_unharmed();
    }
}

/// Waits for the one log line from index `from` on that explains the end of a connection, and returns it. The line
/// contains one of `names` or the clients' address, and one of the known causes. The rest of its text is free.
///
/// # Panics
/// Panics if no such line appears within 10 seconds, or if there is more than one.
pub async fn wait_for_end_in_log(server: &Server, from: usize, names: &[String]) -> String {
    let is_end = |line: &str| {
        let named = names.iter().any(|name| line.contains(name)) || line.contains(ADDRESS);
        named && CAUSES.iter().any(|cause| line.contains(cause))
    };
    let what = format!("a line that tells why {names:?} ended");
    let log = server.log();
    let line = log.wait(&what, from, SOON, |_, line| {
        is_end(line).then(|| line.to_owned())
    });
    let line = line.await;
    let all = log.all();
    let count = all.iter().skip(from).filter(|line| is_end(line)).count();
    assert_eq!(count, 1, "one line: {all:#?}");
    line
}
