//! A client that must not be harmed by what other clients send, and the eyes on the server's log.

use serde_json::json;

use super::{RawClient, RawSocket};
use crate::server::Plan;
use crate::wait::{SOON, within};
use crate::{Server, guest};

/// Words of which a line that tells why a connection ended has one at least.
const CAUSES: [&str; 6] = [
    "cannot be understood",
    "closed",
    "ended",
    "disconnected",
    "larger than",
    "does not take",
];

/// The address of all clients here, as the log writes it.
const ADDRESS: &str = "remote=127.0.0.1";

/// A server with the guest `probe`, and a client in `/` whose events go on.
pub struct Witness {
    /// The server.
    pub server: Server,
    client: RawSocket,
    asked: u64,
}

impl Witness {
    /// With an ordinary server.
    pub async fn start() -> Self {
        Self::start_with(Server::prepare()).await
    }

    /// With this server, in which the probe is put.
    ///
    /// # Panics
    /// Panics if it does not let the client in.
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

    /// Another client in `/`, for what this one must not be harmed by.
    pub async fn other(&self, transport: &str) -> RawClient {
        RawClient::connect(transport, self.server.addr(), "/").await
    }

    /// Asserts that its events go on, and that the server did not panic.
    ///
    /// # Panics
    /// Panics if it is not so.
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

/// Waits for the line that tells of the end of a connection, looking from place `from` of the log: it has one of these
/// names of it (or its address, without which there is no client), and a cause. The rest is up to whoever writes it.
///
/// # Panics
/// Panics if there is none soon, or more than one.
pub async fn wait_for_end_in_log(server: &Server, from: usize, names: &[String]) -> String {
    let tells = |line: &str| {
        let named = names.iter().any(|name| line.contains(name)) || line.contains(ADDRESS);
        named && CAUSES.iter().any(|cause| line.contains(cause))
    };
    let what = format!("a line that tells why {names:?} ended");
    let log = server.log();
    let line = log.wait(&what, from, SOON, |_, line| {
        tells(line).then(|| line.to_owned())
    });
    let line = line.await;
    let all = log.all();
    let count = all.iter().skip(from).filter(|line| tells(line)).count();
    assert_eq!(count, 1, "one line: {all:#?}");
    line
}
