//! The beginning of most tests of events: a server with the guest `probe`, and official clients that come the way of
//! the test.

use serde_json::{Value, json};

use crate::clauses::Way;
use crate::node::Refused;
use crate::server::Plan;
use crate::{Node, Server, Socket, guest, official_client};

/// A server, clients, and the way that the test takes.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The process of the clients.
    pub node: Node,
    /// The way of the test.
    pub way: Way,
}

impl Stage {
    /// A server with the probe; none when the official client cannot run here.
    pub async fn set(way: Way) -> Option<Self> {
        let plan = Server::prepare().handler("probe.wasm", guest("probe"));
        Self::set_with(way, plan).await
    }

    /// Makes a stage with another server.
    pub async fn set_with(way: Way, plan: Plan) -> Option<Self> {
        let node = official_client().await?;
        let server = plan.start().await;
        Some(Self { server, node, way })
    }

    /// The transport of clients that come this way; those that watch what is done over HTTP come over a websocket.
    pub fn transport(&self) -> &'static str {
        match self.way {
            Way::Http => "websocket",
            way => way.transport(),
        }
    }

    /// A client connected to a namespace.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub async fn connect(&self, namespace: &str) -> Socket {
        let connected = self.connect_with(namespace, json!({})).await;
        connected.expect("the server lets the client in")
    }

    /// Connects a client with these options.
    ///
    /// # Errors
    /// Fails if the server refuses.
    pub async fn connect_with(&self, namespace: &str, options: Value) -> Result<Socket, Refused> {
        self.connect_and_greet(namespace, options, &[]).await
    }

    /// Connects a client that emits these events in its `connect` handler: see [`Node::connect_and_greet`].
    ///
    /// # Errors
    /// Fails if the server refuses.
    pub async fn connect_and_greet(
        &self,
        namespace: &str,
        mut options: Value,
        greeting: &[Value],
    ) -> Result<Socket, Refused> {
        options["transports"] = json!([self.transport()]);
        let connected = self
            .node
            .connect_and_greet(&self.server, namespace, options, greeting);
        connected.await
    }

    /// A client in `/` with this `auth`.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub async fn connect_as(&self, auth: Value) -> Socket {
        let connected = self.connect_with("/", json!({ "auth": auth })).await;
        connected.expect("the server lets the client in")
    }

    /// Somebody who runs scripts of the probe through the door of the way.
    pub async fn caller(&self) -> Caller<'_> {
        let socket = match self.way {
            Way::Http => None,
            Way::RequestWebsocket | Way::RequestPolling => Some(self.connect("/hitchy").await),
            Way::EventWebsocket | Way::EventPolling => Some(self.connect("/").await),
        };
        Caller {
            stage: self,
            socket,
        }
    }
}

/// Runs scripts through one door. See [`Stage::caller`].
pub struct Caller<'a> {
    stage: &'a Stage,
    /// The client that calls; none for HTTP.
    pub socket: Option<Socket>,
}

impl Caller<'_> {
    /// The way of the test.
    pub fn way(&self) -> Way {
        self.stage.way
    }

    /// Runs a script of the guest `probe`: its results.
    ///
    /// # Panics
    /// Panics if the answer is not the probe's.
    pub async fn script(&self, steps: Value) -> Value {
        self.script_at(steps).await.1
    }

    /// Asks, and returns the answer with its place among everything that happened to the clients (0 for HTTP).
    ///
    /// # Panics
    /// Panics if the answer is not the probe's.
    pub async fn script_at(&self, steps: Value) -> (usize, Value) {
        let Some(socket) = &self.socket else {
            return (0, self.stage.server.script(&steps).await);
        };
        match self.stage.way {
            Way::EventWebsocket | Way::EventPolling => {
                let (place, ack) = socket.ask_at("script", json!([steps])).await;
                (place, ack[0].clone())
            }
            _ => {
                let request = json!([{ "method": "POST", "url": "/script", "body": steps }]);
                let (place, ack) = socket.ask_at("request", request).await;
                assert_eq!(ack[0]["statusCode"], 200, "{ack}");
                (place, ack[0]["body"].clone())
            }
        }
    }
}
