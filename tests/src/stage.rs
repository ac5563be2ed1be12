//! The start of most tests of events: a server with the guest `probe`, and official clients that use the door and
//! transport of the test.

use serde_json::{Value, json};

use crate::clauses::Way;
use crate::node::Refused;
use crate::server::Plan;
use crate::{Node, Server, Socket, guest, official_client};

/// A server and clients for a test of one way.
pub struct Stage {
    /// The server under test.
    pub server: Server,
    /// The Node process that runs the clients.
    pub node: Node,
    /// The door and transport of the test.
    pub way: Way,
}

impl Stage {
    /// Starts a server with the guest `probe`. Returns `None` if the official client cannot run on this machine.
    pub async fn set(way: Way) -> Option<Self> {
        let plan = Server::prepare().handler("probe.wasm", guest("probe"));
        Self::set_with(way, plan).await
    }

    /// Starts the server of `plan`. Returns `None` if the official client cannot run on this machine.
    pub async fn set_with(way: Way, plan: Plan) -> Option<Self> {
        let node = official_client().await?;
        let server = plan.start().await;
        Some(Self { server, node, way })
    }

    /// Returns the transport of the clients. Tests over HTTP observe their effects with clients over a websocket.
    pub fn transport(&self) -> &'static str {
        match self.way {
            Way::Http => "websocket",
            way => way.transport(),
        }
    }

    /// Connects a client to a namespace.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
    pub async fn connect(&self, namespace: &str) -> Socket {
        let connected = self.connect_with(namespace, json!({})).await;
        connected.expect("the server lets the client in")
    }

    /// Connects a client to a namespace with options of the official client, except `transports`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the client.
    pub async fn connect_with(&self, namespace: &str, options: Value) -> Result<Socket, Refused> {
        self.connect_and_greet(namespace, options, &[]).await
    }

    /// Connects a client that emits the events of `greeting` in its `connect` handler: see [`Node::connect_and_greet`].
    ///
    /// # Errors
    /// Returns an error if the server refuses the client.
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

    /// Connects a client to `/` with this `auth`.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
    pub async fn connect_as(&self, auth: Value) -> Socket {
        let connected = self.connect_with("/", json!({ "auth": auth })).await;
        connected.expect("the server lets the client in")
    }

    /// Returns a caller that runs scripts of the guest `probe` through the door of the test.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
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

/// A client that runs scripts through one door. See [`Stage::caller`].
pub struct Caller<'a> {
    stage: &'a Stage,
    /// The socket that sends the scripts, or `None` over HTTP.
    pub socket: Option<Socket>,
}

impl Caller<'_> {
    /// Returns the door and transport of the test.
    pub fn way(&self) -> Way {
        self.stage.way
    }

    /// Runs a script of the guest `probe` and returns its results.
    ///
    /// # Panics
    /// Panics if the answer is not the probe's.
    pub async fn script(&self, steps: Value) -> Value {
        self.script_at(steps).await.1
    }

    /// Runs a script of the guest `probe`. Returns the index of the answer among all messages of the clients' process
    /// (0 over HTTP), and the results.
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
