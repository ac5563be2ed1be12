//! A server that refuses requests, and a check that no handler received them. A policy that matches every path reports
//! each request to a socket of the test.

use serde_json::{Value, json};

use crate::clauses::Way;
use crate::door::{Answer, Client};
use crate::expect;
use crate::guests::{guest, scripted};
use crate::raw::{Packet, RawSocket};
use crate::server::Server;
use crate::wait::{SOON, within};

/// The script of the policy, which runs before any handler, also for paths that no route matches.
const POLICY: &str = "name policy\nbefore * /\ntell";

/// A socket that receives an event for each request that the policy sees.
struct PolicyEvents(RawSocket);

/// A server with the guest `probe`, a client, and an observer of all requests that reach a handler.
pub struct Refusing {
    /// The server under test.
    pub server: Server,
    /// The client that sends the requests.
    pub client: Client,
    policy_events: PolicyEvents,
}

impl Refusing {
    /// Starts the server with these settings. Returns `None` if the official client is needed but not available.
    pub async fn open(way: Way, settings: &str) -> Option<Self> {
        let server = Server::prepare()
            .handler("probe.wasm", guest("probe"))
            .handler("policy.wasm", scripted(POLICY))
            .settings(settings)
            .start()
            .await;
        Some(Self {
            client: Client::open(way, &server).await?,
            policy_events: PolicyEvents::connect(&server).await,
            server,
        })
    }

    /// Sends a request. Asserts that it is refused with this status and with a sentence that contains `word`, and that
    /// no handler ran.
    ///
    /// # Panics
    /// Panics if the request is answered in another way, or if a handler ran.
    pub async fn refuses(&mut self, status: u16, word: &str, request: Value) {
        let answer = self.client.ask(request.clone()).await;
        self.refused(status, word, &answer, &request).await;
    }

    /// Asserts that `answer` refuses `request` with this status and with a sentence that contains `word`, and that no
    /// handler ran.
    ///
    /// # Panics
    /// Panics if the answer has another form, or if a handler ran.
    pub async fn refused(&mut self, status: u16, word: &str, answer: &Answer, request: &Value) {
        let request: String = request.to_string().chars().take(200).collect();
        assert_eq!(answer.status, status, "{request}");
        let sentence = expect::refusal(answer, status);
        assert!(sentence.contains(word), "{word} in {sentence:?}: {request}");
        let asked = self.asked().await;
        assert!(asked.is_empty(), "{request} was run");
    }

    /// Returns the requests (`METHOD url`) that the policy has seen after the previous call. A request of its own marks
    /// the end, because events of the policy arrive in order.
    ///
    /// # Panics
    /// Panics if the server does not answer the marking request.
    pub async fn asked(&mut self) -> Vec<String> {
        let fence = json!({ "url": "/hello/fence" });
        assert_eq!(self.client.ask(fence).await.status, 200);
        self.policy_events.asked_before("/hello/fence").await
    }
}

impl PolicyEvents {
    /// Connects the socket to `/`.
    async fn connect(server: &Server) -> Self {
        let socket = RawSocket::connect(server.addr(), "/").await;
        Self(socket.expect("the server lets it in"))
    }

    /// Returns the requests (`METHOD url`) that the policy has seen after the previous call and before the request for
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
