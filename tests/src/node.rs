//! The official `socket.io-client`, in a Node process that is driven line by line. See `client/driver.mjs`.
//!
//! Arguments are JSON; bytes stand in it as `{"$binary": base64}`, see [`binary`].

use std::sync::{Arc, Mutex};

use base64::Engine;
use serde_json::{Value, json};

use crate::driven::{self, Driven};
use crate::server::Server;
use crate::wait::SOON;

/// A Node process that holds any number of sockets. It ends when this is dropped.
pub struct Node(Arc<Driven>);

/// One connection of the official client to one namespace.
pub struct Socket {
    process: Arc<Driven>,
    name: String,
    id: String,
    /// The places of the messages that [`Socket::wait_event`] gave out already.
    seen: Mutex<Vec<usize>>,
}

/// The reason for which the server refused a client: its `connect_error`.
#[derive(Debug)]
pub struct Refused {
    /// Its message.
    pub message: String,
}

/// One thing that happened to a socket, and its place among all that happened.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Grows with time, over all sockets of a process and answers alike.
    pub place: usize,
    /// `connect`, `connect_error`, `disconnect`, `event` or `greeting-ack`, with what belongs to it.
    pub what: Value,
}

/// Bytes as an argument.
pub fn binary(bytes: &[u8]) -> Value {
    json!({ "$binary": base64::engine::general_purpose::STANDARD.encode(bytes) })
}

/// The kinds of bytes that a client may pass on, as arguments.
pub fn binaries(bytes: &[u8]) -> [(&'static str, Value); 3] {
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    [
        ("a Buffer", json!({ "$binary": base64 })),
        ("an ArrayBuffer", json!({ "$arraybuffer": base64 })),
        ("a typed array", json!({ "$typed": base64 })),
    ]
}

/// Bytes that came.
///
/// # Panics
/// Panics if the value is none.
pub fn bytes(value: &Value) -> Vec<u8> {
    let base64 = value["$binary"].as_str();
    let base64 = base64.unwrap_or_else(|| panic!("no bytes: {value}"));
    let decoded = base64::engine::general_purpose::STANDARD.decode(base64);
    decoded.expect("the driver speaks base64")
}

/// `undefined` as an argument.
pub fn undefined() -> Value {
    json!({ "$undefined": true })
}

/// Starts Node, if there is one; says so when there is none.
///
/// # Panics
/// Panics if Node or npm is missing and `CI=true`.
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

    /// Connects over websocket.
    ///
    /// # Panics
    /// Panics if the server refuses.
    pub async fn connect(&self, server: &Server, namespace: &str) -> Socket {
        self.connect_with(server, namespace, json!({}))
            .await
            .expect("the server lets the client in")
    }

    /// Connects with these options of the client, for example `{"auth": …, "transports": ["polling"], "query": …}`.
    ///
    /// # Errors
    /// Fails if the server refuses.
    pub async fn connect_with(
        &self,
        server: &Server,
        namespace: &str,
        options: Value,
    ) -> Result<Socket, Refused> {
        self.connect_and_greet(server, namespace, options, &[])
            .await
    }

    /// Connects a client that emits these events (name, arguments) with a callback each in its `connect` handler, the
    /// earliest moment there is.
    ///
    /// # Errors
    /// Fails if the server refuses.
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
    /// The id that the server gave.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `websocket` or `polling`, now.
    pub async fn transport(&self) -> String {
        self.command("transport", json!({}))
            .await
            .as_str()
            .unwrap_or_default()
            .into()
    }

    /// Emits. `args` is the list of arguments.
    pub async fn emit(&self, event: &str, args: Value) {
        self.command("emit", json!({ "event": event, "args": args }))
            .await;
    }

    /// Emits with a callback and gives back the list of its arguments.
    ///
    /// # Panics
    /// Panics if no ack comes soon.
    pub async fn ask(&self, event: &str, args: Value) -> Value {
        self.ask_at(event, args).await.1
    }

    /// Emits an event and returns its ack, with the place of the ack among everything that happened.
    ///
    /// # Panics
    /// Panics if no ack comes soon.
    pub async fn ask_at(&self, event: &str, args: Value) -> (usize, Value) {
        let ask = json!({ "do": "ask", "socket": self.name, "event": event, "args": args });
        self.process.command(ask, SOON * 2).await
    }

    /// Emits all these (`[event, argument, …]`) at once, each with a callback: the list of `{index, ack}` in the order
    /// in which the acks came.
    ///
    /// # Panics
    /// Panics if not all acks come soon.
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

    /// The numbers of all acks that came in, also of those that answer nothing.
    pub async fn acks(&self) -> Vec<Value> {
        let acks = self.command("acks", json!({})).await;
        acks.as_array().cloned().unwrap_or_default()
    }

    /// Answers every `event` that wants an ack with these arguments.
    pub async fn answer(&self, event: &str, args: Value) {
        self.command("answer", json!({ "event": event, "args": args }))
            .await;
    }

    /// `socket.disconnect()`.
    pub async fn disconnect(&self) {
        self.command("disconnect", json!({})).await;
    }

    /// Closes the connection below the socket, as a network that fails does.
    pub async fn close_transport(&self) {
        self.command("closeTransport", json!({})).await;
    }

    /// Waits for the next event of this name that was not waited for before: its arguments.
    ///
    /// # Panics
    /// Panics if none comes soon.
    pub async fn wait_event(&self, event: &str) -> Value {
        self.wait_event_at(event).await.what["args"].clone()
    }

    /// Waits for an event and returns it with everything that belongs to it.
    ///
    /// # Panics
    /// Panics if none comes soon.
    pub async fn wait_event_at(&self, event: &str) -> Happened {
        self.wait(&format!("event {event}"), |what| {
            what["what"] == "event" && what["event"] == event
        })
        .await
    }

    /// Waits for the end of the connection: its reason.
    ///
    /// # Panics
    /// Panics if it does not end soon.
    pub async fn wait_disconnect(&self) -> String {
        let end = self
            .wait("the end of the connection", |what| {
                what["what"] == "disconnect"
            })
            .await;
        end.what["reason"].as_str().unwrap_or_default().into()
    }

    /// Waits for the ack of an event that was emitted when the client connected.
    ///
    /// # Panics
    /// Panics if it does not come soon.
    pub async fn wait_greeting_ack(&self) -> Value {
        self.wait("the ack of a greeting", |what| {
            what["what"] == "greeting-ack"
        })
        .await
        .what["args"]
            .clone()
    }

    /// All events of this name so far: their arguments, oldest first.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let all = self.happened();
        let named = all
            .iter()
            .filter(|it| it.what["what"] == "event" && it.what["event"] == event);
        named.map(|it| it.what["args"].clone()).collect()
    }

    /// All that happened to this socket so far.
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
