//! A server that refuses requests, and the proof that no handler heard of them: a policy before every path, which tells
//! a socket.

use serde_json::{Value, json};

use crate::clauses::Way;
use crate::door::{Answer, Client};
use crate::expect;
use crate::guests::{guest, scripted};
use crate::raw::{Packet, RawSocket};
use crate::server::Server;
use crate::wait::{SOON, within};

/// The policy. It is asked before any handler, also about paths that no route has.
const POLICY: &str = "name policy\nbefore * /\ntell";

/// The socket that the policy tells.
struct Told(RawSocket);

/// A server with the guest `probe`, a client of it, and somebody who is told of each request that handlers hear of.
pub struct Refusing {
    /// The server.
    pub server: Server,
    /// The client that asks.
    pub client: Client,
    told: Told,
}

impl Refusing {
    /// Starts the server with these settings. There is none when the client cannot be had.
    pub async fn open(way: Way, settings: &str) -> Option<Self> {
        let server = Server::prepare()
            .handler("probe.wasm", guest("probe"))
            .handler("policy.wasm", scripted(POLICY))
            .settings(settings)
            .start()
            .await;
        Some(Self {
            client: Client::open(way, &server).await?,
            told: Told::of(&server).await,
            server,
        })
    }

    /// Asserts that the request is refused with a sentence that has this word in it, and that no handler was run.
    ///
    /// # Panics
    /// Panics if it is not so.
    pub async fn refuses(&mut self, status: u16, word: &str, request: Value) {
        let answer = self.client.ask(request.clone()).await;
        self.refused(status, word, &answer, &request).await;
    }

    /// Asserts the same of this answer to a request.
    ///
    /// # Panics
    /// Panics if it is not so.
    pub async fn refused(&mut self, status: u16, word: &str, answer: &Answer, request: &Value) {
        let request: String = request.to_string().chars().take(200).collect();
        assert_eq!(answer.status, status, "{request}");
        let sentence = expect::refusal(answer, status);
        assert!(sentence.contains(word), "{word} in {sentence:?}: {request}");
        let asked = self.asked().await;
        assert!(asked.is_empty(), "{request} was run");
    }

    /// The requests (`METHOD url`) that policies were asked about since the last time.
    ///
    /// # Panics
    /// Panics if the server does not answer.
    pub async fn asked(&mut self) -> Vec<String> {
        let fence = json!({ "url": "/hello/fence" });
        assert_eq!(self.client.ask(fence).await.status, 200);
        self.told.asked_before("/hello/fence").await
    }
}

impl Told {
    /// Begins to listen.
    async fn of(server: &Server) -> Self {
        let socket = RawSocket::connect(server.addr(), "/").await;
        Self(socket.expect("the server lets it in"))
    }

    /// The requests (`METHOD url`) that policies were asked about since the last time, up to and without the one for
    /// `last`.
    async fn asked_before(&mut self, last: &str) -> Vec<String> {
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
            let packet = self.0.next().await.expect("it stays connected");
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
