//! The official `socket.io-client` in a Node process, which runs `client/driver.mjs` and reads one command per line.
//!
//! Arguments of events are JSON. Bytes in them have the form `{"$binary": base64}`: see [`binary`].

use std::sync::{Arc, Mutex};

use base64::Engine;
use serde_json::{Value, json};

use crate::driven::{self, Driven};
use crate::server::Server;
use crate::wait::SOON;

/// A Node process with any number of sockets. The process ends when this and all its sockets are dropped.
pub struct Node(Arc<Driven>);

/// A connection of the official client to one namespace.
pub struct Socket {
    process: Arc<Driven>,
    name: String,
    id: String,
    /// The indexes of the messages that [`Socket::wait_event`] and similar methods have returned already.
    seen: Mutex<Vec<usize>>,
}

/// The refusal of a client: its `connect_error`.
#[derive(Debug)]
pub struct Refused {
    /// The message of the `connect_error`.
    pub message: String,
}

/// Something that happened to a socket, with its position in the order of all messages of the process.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The index among all messages of the process. It grows with time, over all sockets and over answers to commands.
    pub place: usize,
    /// The message of the driver: `what` is `connect`, `connect_error`, `disconnect`, `event` or `greeting-ack`. Its
    /// other fields depend on that, for example `event` and `args`.
    pub what: Value,
}

/// Returns bytes as an argument.
pub fn binary(bytes: &[u8]) -> Value {
    json!({ "$binary": base64::engine::general_purpose::STANDARD.encode(bytes) })
}

/// Returns the same bytes as arguments of each type that the official client sends as an attachment, each with its
/// name.
pub fn binaries(bytes: &[u8]) -> [(&'static str, Value); 3] {
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    [
        ("a Buffer", json!({ "$binary": base64 })),
        ("an ArrayBuffer", json!({ "$arraybuffer": base64 })),
        ("a typed array", json!({ "$typed": base64 })),
    ]
}

/// Returns the bytes of an argument that the client received.
///
/// # Panics
/// Panics if the value does not contain bytes.
pub fn bytes(value: &Value) -> Vec<u8> {
    let base64 = value["$binary"].as_str();
    let base64 = base64.unwrap_or_else(|| panic!("no bytes: {value}"));
    let decoded = base64::engine::general_purpose::STANDARD.decode(base64);
    decoded.expect("the driver speaks base64")
}

/// Returns `undefined` as an argument.
pub fn undefined() -> Value {
    json!({ "$undefined": true })
}

/// Starts Node. If Node, npm or the packages are missing, reports the skipped test on standard error and returns
/// `None`.
///
/// # Panics
/// Panics if one of them is missing and `CI=true`.
pub async fn official_client() -> Option<Node> {
    if let Err(missing) = driven::installed() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
        {
            eprintln!("skipped: {missing}");
        }
        crate::clauses::skip();
        return None;
    }
    Some(Node::start())
}

impl Node {
    fn start() -> Self {
        Self(Arc::new(Driven::start("driver.mjs")))
    }

    /// Connects over a websocket.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
    pub async fn connect(&self, server: &Server, namespace: &str) -> Socket {
        self.connect_with(server, namespace, json!({}))
            .await
            .expect("the server lets the client in")
    }

    /// Connects with options of the client, for example `{"auth": …, "transports": ["polling"], "query": …}`. The
    /// transport is a websocket if `options` has no `transports`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the client.
    pub async fn connect_with(
        &self,
        server: &Server,
        namespace: &str,
        options: Value,
    ) -> Result<Socket, Refused> {
        self.connect_and_greet(server, namespace, options, &[])
            .await
    }

    /// Connects with options, and emits the events of `greeting` in the client's `connect` handler, which is the
    /// earliest possible moment. Each of them is `[event, argument, …]` and has a callback: see
    /// [`Socket::wait_greeting_ack`].
    ///
    /// # Errors
    /// Returns an error if the server refuses the client.
    pub async fn connect_and_greet(
        &self,
        server: &Server,
        namespace: &str,
        mut options: Value,
        greeting: &[Value],
    ) -> Result<Socket, Refused> {
        let process = Arc::clone(&self.0);
        let name = format!("s{}", process.number());
        if options.get("transports").is_none() {
            options["transports"] = json!(["websocket"]);
        }
        let url = if namespace == "/" {
            server.url()
        } else {
            format!("{}{namespace}", server.url())
        };
        let connect = json!({ "do": "connect", "socket": name, "url": url, "options": options, "greeting": greeting });
        let answer = process.command(connect, SOON * 2).await.1;
        match answer["refused"].as_str() {
            Some(message) => Err(Refused {
                message: message.into(),
            }),
            None => {
                let id = answer["id"]
                    .as_str()
                    .expect("a connected socket has an id")
                    .into();
                Ok(Socket {
                    process,
                    name,
                    id,
                    seen: Mutex::default(),
                })
            }
        }
    }
}

impl Socket {
    /// Returns the id that the server gave to this socket.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the current transport: `websocket` or `polling`.
    pub async fn transport(&self) -> String {
        self.command("transport", json!({}))
            .await
            .as_str()
            .unwrap_or_default()
            .into()
    }

    /// Returns the id that the client has for its session, which only the client should know.
    pub async fn engine_id(&self) -> String {
        let id = self.command("engine", json!({})).await;
        id.as_str().unwrap_or_default().into()
    }

    /// Returns how many times the event was sent that waits for its ack, on a client with the option `retries`.
    pub async fn tries(&self) -> u64 {
        let tries = self.command("tries", json!({})).await;
        tries.as_u64().unwrap_or_default()
    }

    /// Emits an event. `args` is the JSON array of its arguments.
    pub async fn emit(&self, event: &str, args: Value) {
        self.command("emit", json!({ "event": event, "args": args }))
            .await;
    }

    /// Emits an event with a callback, and returns the array of arguments that the callback received.
    ///
    /// # Panics
    /// Panics if no ack arrives within 20 seconds.
    pub async fn ask(&self, event: &str, args: Value) -> Value {
        self.ask_at(event, args).await.1
    }

    /// Emits an event with a callback. Returns the index of the ack among all messages of the process, and its
    /// arguments.
    ///
    /// # Panics
    /// Panics if no ack arrives within 20 seconds.
    pub async fn ask_at(&self, event: &str, args: Value) -> (usize, Value) {
        let ask = json!({ "do": "ask", "socket": self.name, "event": event, "args": args });
        self.process.command(ask, SOON * 2).await
    }

    /// Emits all events of `calls` at once, each with a callback. An element of `calls` is `[event, argument, …]`.
    /// Returns a list of `{index, ack}` in the order in which the acks arrived.
    ///
    /// # Panics
    /// Panics if not all acks arrive within 30 seconds.
    pub async fn ask_all(&self, calls: &[Value]) -> Vec<Value> {
        let ask = json!({ "do": "askAll", "socket": self.name, "calls": calls });
        self.process
            .command(ask, SOON * 3)
            .await
            .1
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the ids of all acks that arrived, including acks for which no callback waited.
    pub async fn acks(&self) -> Vec<Value> {
        let acks = self.command("acks", json!({})).await;
        acks.as_array().cloned().unwrap_or_default()
    }

    /// Makes the client answer every `event` that requests an ack with the arguments `args`.
    pub async fn answer(&self, event: &str, args: Value) {
        self.command("answer", json!({ "event": event, "args": args }))
            .await;
    }

    /// Calls `socket.disconnect()` of the client.
    pub async fn disconnect(&self) {
        self.command("disconnect", json!({})).await;
    }

    /// Closes the connection below the socket without a socket.io disconnect packet, as a failing network does.
    pub async fn close_transport(&self) {
        self.command("closeTransport", json!({})).await;
    }

    /// Waits for an event of this name that no earlier call has returned, and returns its arguments.
    ///
    /// # Panics
    /// Panics if no such event arrives within 20 seconds.
    pub async fn wait_event(&self, event: &str) -> Value {
        self.wait_event_at(event).await.what["args"].clone()
    }

    /// Waits for an event of this name that no earlier call has returned, and returns the full message.
    ///
    /// # Panics
    /// Panics if no such event arrives within 20 seconds.
    pub async fn wait_event_at(&self, event: &str) -> Happened {
        self.wait(&format!("event {event}"), |what| {
            what["what"] == "event" && what["event"] == event
        })
        .await
    }

    /// Waits for the end of the connection, and returns the reason that the client reports.
    ///
    /// # Panics
    /// Panics if the connection does not end within 20 seconds.
    pub async fn wait_disconnect(&self) -> String {
        let end = self
            .wait("the end of the connection", |what| {
                what["what"] == "disconnect"
            })
            .await;
        end.what["reason"].as_str().unwrap_or_default().into()
    }

    /// Waits for an ack of a greeting that no earlier call has returned, and returns its arguments. See
    /// [`Node::connect_and_greet`].
    ///
    /// # Panics
    /// Panics if no such ack arrives within 20 seconds.
    pub async fn wait_greeting_ack(&self) -> Value {
        self.wait("the ack of a greeting", |what| {
            what["what"] == "greeting-ack"
        })
        .await
        .what["args"]
            .clone()
    }

    /// Returns the arguments of all events of this name so far, oldest first.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let all = self.happened();
        let named = all
            .iter()
            .filter(|it| it.what["what"] == "event" && it.what["event"] == event);
        named.map(|it| it.what["args"].clone()).collect()
    }

    /// Returns the messages about this socket so far, oldest first.
    pub fn happened(&self) -> Vec<Happened> {
        let messages = self.process.said();
        let parsed = messages.iter().enumerate().map(|(place, line)| Happened {
            place,
            what: serde_json::from_str(line).expect("the driver speaks JSON"),
        });
        parsed
            .filter(|it| it.what["of"] == self.name.as_str())
            .collect()
    }

    async fn command(&self, what: &str, mut command: Value) -> Value {
        command["do"] = json!(what);
        command["socket"] = json!(self.name);
        self.process.command(command, SOON).await.1
    }

    async fn wait(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Happened {
        let found = crate::wait::eventually(what, SOON * 2, async || {
            let seen = self
                .seen
                .lock()
                .expect("nobody panics while looking")
                .clone();
            self.happened()
                .into_iter()
                .find(|it| fits(&it.what) && !seen.contains(&it.place))
        });
        let found = found.await;
        self.seen
            .lock()
            .expect("nobody panics while looking")
            .push(found.place);
        found
    }
}
