//! A raw HTTP/1.1 client. It sends exactly the bytes that a test passes and returns exactly the bytes that arrive.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::wait::within;

/// Deadline for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A complete HTTP response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in their order. Names keep the case in which they arrived.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header. If the header occurs several times, the first value is returned.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).first().copied()
    }

    /// Returns all values of a header. Names are compared without regard to case.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the body as text. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// Panics if the body is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// A keep-alive connection to a server.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Opens a connection.
    ///
    /// # Panics
    /// Panics if no server listens at `addr`.
    pub async fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).await.expect("somebody listens")
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Returns an error if no server listens at `addr`.
    pub async fn try_open(addr: SocketAddr) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(addr).await?)
    }

    /// Wraps a TCP connection that is open already.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
    pub fn over(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes without a change.
    ///
    /// # Errors
    /// Returns an error if the peer has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref()).await
    }

    /// Sends a request and returns its answer.
    ///
    /// # Panics
    /// Panics if no complete answer arrives within 30 seconds.
    pub async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_ask(method, target, headers, body)
            .await
            .expect("an answer")
    }

    /// Sends a request and returns its answer. Use it if the server may close the connection.
    ///
    /// # Errors
    /// Returns an error if the connection ends before the answer is complete, or if the answer is not HTTP/1.1.
    ///
    /// # Panics
    /// Panics if the connection stays open but no complete answer arrives within 30 seconds.
    pub async fn try_ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        self.send(request(method, target, headers, body)).await?;
        self.read(method).await
    }

    /// Reads one answer. `method` is the method of its request: the answer to HEAD has no body.
    ///
    /// # Errors
    /// Returns an error if the connection ends before the answer is complete, or if the answer is not HTTP/1.1.
    ///
    /// # Panics
    /// Panics if the connection stays open but no complete answer arrives within 30 seconds.
    pub async fn read(&mut self, method: &str) -> std::io::Result<Answer> {
        within("a whole answer", PATIENCE, async {
            let mut answer = self.read_head().await?;
            answer.body = self.read_body(method, &answer).await?;
            Ok(answer)
        })
        .await
    }

    /// Waits until the peer closes the connection, and returns the bytes that arrived before.
    ///
    /// # Panics
    /// Panics if the connection is still open after 30 seconds.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = within(
            "the connection is closed",
            PATIENCE,
            self.0.read_to_end(&mut rest),
        )
        .await;
        // A reset also closes the connection. The bytes before it count.
        read.map_or(rest.clone(), |_| rest)
    }

    async fn read_head(&mut self) -> std::io::Result<Answer> {
        let status_line = self.line().await?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| invalid_data(format!("status line {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(Answer {
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid_data(format!("header line {line:?}")))?;
            headers.push((name.to_string(), value.trim().to_string()));
        }
    }

    async fn read_body(&mut self, method: &str, head: &Answer) -> std::io::Result<Vec<u8>> {
        if method == "HEAD" || head.status < 200 || matches!(head.status, 204 | 304) {
            return Ok(Vec::new());
        }
        if head
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks().await;
        }
        let mut body = Vec::new();
        if let Some(length) = head.header("content-length") {
            body.resize(
                length
                    .parse()
                    .map_err(|_| invalid_data(format!("content-length {length:?}")))?,
                0,
            );
            self.0.read_exact(&mut body).await?;
        } else {
            self.0.read_to_end(&mut body).await?;
        }
        Ok(body)
    }

    async fn read_chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| invalid_data(format!("chunk size {line:?}")))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.0.read_exact(&mut body[start..]).await?;
            self.line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line)
            .trim_end_matches(['\r', '\n'])
            .to_string())
    }
}

/// Opens a TCP connection to `addr` from the local IPv4 address `from`.
///
/// # Panics
/// Panics if this machine does not have the address `from`, or if no server listens at `addr`.
pub async fn tcp_from(from: IpAddr, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(from, 0))
        .expect("the address is one of this machine");
    socket.connect(addr).await.expect("somebody listens")
}

/// Sends one request on a new connection, with `connection: close`, and returns its answer.
///
/// # Panics
/// Panics if no server listens at `addr`, or if no complete answer arrives within 30 seconds.
pub async fn ask(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut headers = headers.to_vec();
    headers.push(("connection", "close"));
    Connection::open(addr)
        .await
        .ask(method, target, &headers, body)
        .await
}

/// Returns the bytes of a request. `content-length` is added if the body is not empty, or if the method is POST, PUT or
/// PATCH. `host: localhost` is added if `headers` has no host.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        bytes.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        bytes.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn invalid_data(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}
