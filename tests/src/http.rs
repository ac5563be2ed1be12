//! A raw HTTP/1.1 client: it sends exactly the bytes it is given and shows exactly what came back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::wait::within;

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; of several, the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers_named(name).first().copied()
    }

    /// All values of a header.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Panics if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// A connection that stays open.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Panics if nobody listens.
    pub async fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).await.expect("somebody listens")
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    /// Fails if nobody does.
    pub async fn try_open(addr: SocketAddr) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(addr).await?)
    }

    /// Talks over a TCP connection that is there already.
    ///
    /// # Errors
    /// Fails if it is no longer.
    pub fn over(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Fails if the peer closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref()).await
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// Panics if no whole answer comes.
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

    /// Sends a request and reads its answer on a connection that may be closed.
    ///
    /// # Errors
    /// Fails if no whole answer comes.
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

    /// Reads one answer. The method decides whether a body may follow.
    ///
    /// # Errors
    /// Fails if the connection ends before it is whole.
    pub async fn read(&mut self, method: &str) -> std::io::Result<Answer> {
        within("a whole answer", PATIENCE, async {
            let mut answer = self.read_head().await?;
            answer.body = self.read_body(method, &answer).await?;
            Ok(answer)
        })
        .await
    }

    /// Waits until the peer closes the connection; gives back what came before.
    ///
    /// # Panics
    /// Panics if it stays open.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = within(
            "the connection is closed",
            PATIENCE,
            self.0.read_to_end(&mut rest),
        )
        .await;
        // A reset is a way to close, too.
        read.map_or(rest.clone(), |_| rest)
    }

    async fn read_head(&mut self) -> std::io::Result<Answer> {
        let status_line = self.line().await?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| odd(format!("status line {status_line:?}")))?;
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
                .ok_or_else(|| odd(format!("header line {line:?}")))?;
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
                    .map_err(|_| odd(format!("content-length {length:?}")))?,
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
            let size =
                usize::from_str_radix(size, 16).map_err(|_| odd(format!("chunk size {line:?}")))?;
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

/// A TCP connection to `addr` that comes from the address `from` of this machine.
///
/// # Panics
/// Panics if there is no such address, or nobody listens.
pub async fn tcp_from(from: IpAddr, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(from, 0))
        .expect("the address is one of this machine");
    socket.connect(addr).await.expect("somebody listens")
}

/// One request on a connection of its own.
///
/// # Panics
/// Panics if no whole answer comes.
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

/// The bytes of a request. A body gets its length; a method that usually has a body does in any case.
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

fn odd(what: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}
