//! Somebody who sees which requests are answered by handlers at all: a policy before every path that tells a socket.

use serde_json::Value;

use crate::guests::scripted;
use crate::raw::{Packet, RawSocket};
use crate::server::Server;
use crate::wait::{SOON, within};

/// The file of the policy in the handlers folder.
pub const FILE: &str = "witness.wasm";

/// The policy. It is asked before any handler, also about paths that no route has.
pub fn policy() -> Vec<u8> {
    scripted("name witness\nbefore * /\ntell")
}

/// The socket that it tells.
pub struct Witness(RawSocket);

impl Witness {
    /// Begins to listen.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn of(server: &Server) -> Self {
        let socket = RawSocket::connect(server.addr(), "/").await;
        Self(socket.expect("the server lets the witness in"))
    }

    /// The requests (`METHOD url`) that policies were asked about since the last time, up to and without the one for `last`.
    ///
    /// # Panics
    /// When there is none for `last` soon.
    pub async fn asked_before(&mut self, last: &str) -> Vec<String> {
        let all = async {
            let mut asked = Vec::new();
            loop {
                let (method, url) = self.next().await;
                if url == last {
                    return asked;
                }
                asked.push(format!("{method} {url}"));
            }
        };
        within(&format!("a request for {last}"), SOON, all).await
    }

    async fn next(&mut self) -> (String, String) {
        loop {
            let packet = self.0.next().await.expect("the witness stays connected");
            let Packet::Text(text) = packet else { continue };
            let Some(event) = text.strip_prefix("42") else {
                continue;
            };
            let event: Value = serde_json::from_str(event).expect("events are JSON");
            if event[0] == "asked" {
                let text = |place: usize| event[place].as_str().unwrap_or_default().to_owned();
                return (text(1), text(2));
            }
        }
    }
}
