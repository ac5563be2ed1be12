//! One client for every door that takes requests, so that one test covers all of them. Requests and answers have the
//! form of the socket door: `{method, url, headers, body}` and `{statusCode, headers, body}`. Over HTTP the client
//! translates both.

use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value, json};

use crate::clauses::Way;
use crate::guests::guest;
use crate::http;
use crate::node::{Node, Socket, binary, official_client};
use crate::server::Server;

/// A client that sends requests to one server through one door.
pub struct Client {
    addr: SocketAddr,
    /// Headers that describe the client, such as cookies. A socket sends them in its handshake, HTTP with each request.
    identity: Vec<(String, Value)>,
    /// The socket in `/hitchy`, or `None` over HTTP.
    socket: Option<Socket>,
    _node: Option<Node>,
}

/// An answer: `{statusCode, headers, body}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value of `statusCode`.
    pub status: u16,
    /// The headers by name. Each value is a string, except `set-cookie`, which is an array of strings.
    pub headers: Map<String, Value>,
    /// The body: JSON as a value, text as a string, bytes in the form of [`crate::node::binary`], or `null` if there is
    /// none.
    pub body: Value,
}

/// Headers that HTTP itself adds. They do not belong to the answer of a handler.
const OF_HTTP: [&str; 4] = ["date", "connection", "content-length", "transfer-encoding"];

/// Starts a server with the guest `probe` and opens a client. Returns `None` if the official client is needed but not
/// available.
pub async fn probed(way: Way) -> Option<(Server, Client)> {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let client = Client::open(way, &server).await?;
    Some((server, client))
}

impl Client {
    /// Opens a client. Returns `None` if `way` needs the official client and that is not available.
    pub async fn open(way: Way, server: &Server) -> Option<Self> {
        Self::open_with(way, server, json!({})).await
    }

    /// Opens a client that sends `headers`, such as cookies. A socket sends them in its handshake, HTTP with each
    /// request. Returns `None` if `way` needs the official client and that is not available.
    pub async fn open_as(way: Way, server: &Server, headers: Value) -> Option<Self> {
        Self::open_with(way, server, json!({ "extraHeaders": headers })).await
    }

    /// Opens a client with options of the official client. HTTP uses only `extraHeaders`. Returns `None` if `way` needs
    /// the official client and that is not available.
    ///
    /// # Panics
    /// Panics if the server refuses the client.
    pub async fn open_with(way: Way, server: &Server, mut options: Value) -> Option<Self> {
        let headers = options["extraHeaders"].as_object().cloned();
        let mut client = Self {
            addr: server.addr(),
            identity: headers.unwrap_or_default().into_iter().collect(),
            socket: None,
            _node: None,
        };
        if way == Way::Http {
            return Some(client);
        }
        let node = official_client().await?;
        options["transports"] = json!([way.transport()]);
        let socket = node.connect_with(server, "/hitchy", options).await;
        client.socket = Some(socket.expect("the server lets the client in"));
        client._node = Some(node);
        Some(client)
    }

    /// Returns the socket of the client.
    ///
    /// # Panics
    /// Panics over HTTP, because that client has no socket.
    pub fn socket(&self) -> &Socket {
        self.socket.as_ref().expect("a way that has sockets")
    }

    /// Sends the request `{method, url, headers, body}` and returns the answer.
    ///
    /// # Panics
    /// Panics if no answer arrives by the deadline, or if the answer does not have the form of [`Answer`].
    pub async fn ask(&self, request: Value) -> Answer {
        match &self.socket {
            Some(socket) => Answer::of_ack(&socket.ask("request", json!([request])).await),
            None => self.ask_over_http(&request).await,
        }
    }

    /// Sends `GET url` and returns the answer.
    pub async fn get(&self, url: &str) -> Answer {
        self.ask(json!({ "url": url })).await
    }

    /// Sends `POST url` with a body and returns the answer.
    pub async fn post(&self, url: &str, body: Value) -> Answer {
        self.ask(json!({ "method": "POST", "url": url, "body": body }))
            .await
    }

    /// Sends all requests at once. Returns each answer with the index of its request, in the order in which the answers
    /// arrived.
    ///
    /// # Panics
    /// Panics if [`Client::ask`] would panic for one of the requests.
    pub async fn ask_all(&self, requests: &[Value]) -> Vec<(usize, Answer)> {
        let Some(socket) = &self.socket else {
            let asked = requests.iter().enumerate();
            let asked =
                asked.map(async |(place, request)| (place, self.ask_over_http(request).await));
            return FuturesUnordered::from_iter(asked).collect().await;
        };
        let calls = requests.iter().map(|request| json!(["request", request]));
        let came = socket.ask_all(&calls.collect::<Vec<_>>()).await;
        let placed = |came: &Value| {
            let place = came["index"].as_u64().expect("the driver numbers them");
            (place as usize, Answer::of_ack(&came["ack"]))
        };
        came.iter().map(placed).collect()
    }

    async fn ask_over_http(&self, request: &Value) -> Answer {
        let method = request["method"].as_str().unwrap_or("GET");
        let url = request["url"].as_str().expect("HTTP needs a url");
        let (body, kind) = http_body(&request["body"]);
        let mut headers = vec![("host".to_owned(), self.addr.to_string())];
        for (name, value) in &self.identity {
            add(&mut headers, name, value);
        }
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            add(&mut headers, name, value);
        }
        if let Some(kind) = kind
            && !headers.iter().any(|(name, _)| is_content_type(name))
        {
            headers.push(("content-type".into(), kind.into()));
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        of_http(&http::ask(self.addr, method, url, &headers, &body).await)
    }
}

impl Answer {
    /// Reads an answer from the arguments of an ack.
    ///
    /// # Panics
    /// Panics if the ack has another form than one object of `body`, `headers` and `statusCode`.
    #[track_caller]
    pub fn of_ack(ack: &Value) -> Self {
        assert_eq!(ack.as_array().map(Vec::len), Some(1), "one argument: {ack}");
        let answer = ack[0].as_object().expect("an object");
        let mut keys: Vec<_> = answer.keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["body", "headers", "statusCode"], "{ack}");
        let status = answer["statusCode"].as_u64();
        let status = status.and_then(|status| status.try_into().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("statusCode is no integer: {ack}")),
            headers: answer["headers"].as_object().expect("an object").clone(),
            body: answer["body"].clone(),
        }
    }

    /// Returns the value of a header if that is one string.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }

    /// Returns the values of a request header as the guest `probe` received them. This must be the answer of its
    /// `/echo`.
    ///
    /// # Panics
    /// Panics if this is another answer.
    #[track_caller]
    pub fn seen(&self, name: &str) -> Vec<String> {
        let all = self.all_seen().into_iter();
        all.filter(|(seen, _)| seen == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// Returns the names of all request headers as the guest `probe` received them. A header with several values occurs
    /// several times.
    ///
    /// # Panics
    /// Panics if this is not the answer of the guest's `/echo`.
    #[track_caller]
    pub fn seen_names(&self) -> Vec<String> {
        self.all_seen().into_iter().map(|(name, _)| name).collect()
    }

    #[track_caller]
    fn all_seen(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 200, "{self:?}");
        let headers = self.body["headers"].clone();
        serde_json::from_value(headers).unwrap_or_else(|_| panic!("no echo: {self:?}"))
    }

    /// Removes the id of the call, so that the answers to two equal requests can be compared.
    #[must_use]
    pub fn without_id(mut self) -> Self {
        self.headers.remove("x-request-id");
        if let Some(body) = self.body.as_object_mut() {
            body.remove("id");
        }
        self
    }
}

/// Translates an HTTP answer by clauses R2 and R4 to R8.
fn of_http(answer: &http::Answer) -> Answer {
    let mut headers = Map::new();
    for (name, _) in &answer.headers {
        if OF_HTTP.contains(&name.as_str()) {
            continue;
        }
        let values = answer.headers_named(name);
        let value = match name.as_str() {
            "set-cookie" => json!(values),
            _ => json!(values.join(", ")),
        };
        headers.insert(name.clone(), value);
    }
    let kind = answer.header("content-type").unwrap_or_default();
    Answer {
        status: answer.status,
        headers,
        body: read_body(kind, &answer.body),
    }
}

fn read_body(content_type: &str, bytes: &[u8]) -> Value {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    if bytes.is_empty() {
        return Value::Null;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return binary(bytes);
    };
    if matches!(kind.as_str(), "application/json" | "text/json") || kind.ends_with("+json") {
        return serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    }
    let is_text = kind.starts_with("text/")
        || kind.ends_with("/xml")
        || kind.ends_with("+xml")
        || kind.ends_with("/javascript")
        || kind.ends_with("/x-www-form-urlencoded");
    if is_text { json!(text) } else { binary(bytes) }
}

/// Returns the bytes of a request body and its `content-type`. HTTP names the type in a header, while the socket door
/// derives it from the type of the JSON value.
fn http_body(body: &Value) -> (Vec<u8>, Option<&'static str>) {
    if body["$binary"].is_string() {
        return (crate::node::bytes(body), Some("application/octet-stream"));
    }
    match body {
        Value::Null => (Vec::new(), None),
        Value::String(text) => (text.as_bytes().to_vec(), Some("text/plain; charset=utf-8")),
        json => (
            json.to_string().into_bytes(),
            Some("application/json; charset=utf-8"),
        ),
    }
}

/// Adds a header line for each value.
fn add(headers: &mut Vec<(String, String)>, name: &str, value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| add(headers, name, value)),
        Value::String(text) => headers.push((name.to_owned(), text.clone())),
        other => headers.push((name.to_owned(), other.to_string())),
    }
}

fn is_content_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-type")
}
