//! A server with the guest `proxy`, a component of `wasi:http`, and connections on which bodies arrive piece by piece.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Plan;
use crate::wait::{SOON, until, within};
use crate::{Server, guest};

/// Returns the plan of a server with the guest `proxy` at `/api/shop`, and its console.
pub fn shop() -> Plan {
    Server::prepare()
        .handler("api/shop.wasm", guest("proxy"))
        .console()
}

/// Returns the number of answers that are streamed now.
pub async fn streaming(server: &Server) -> f64 {
    server.metrics().await.value("hitchy_streams_running")
}

/// Waits until so many answers are streamed.
///
/// # Panics
/// Panics if that is not so within 10 seconds.
pub async fn until_streaming(server: &Server, number: f64) {
    let fact = async || streaming(server).await == number;
    until(&format!("{number} answers are streamed"), SOON, fact).await;
}

/// Waits until so many calls of the handler have ended in a way. A call may go on after its answer was received.
///
/// # Panics
/// Panics if that is not so within 10 seconds.
pub async fn until_ended(server: &Server, way: &str, number: f64) {
    let fact = async || ended(server, way).await == number;
    until(&format!("{number} calls ended with {way}"), SOON, fact).await;
}

/// Returns how many calls of the handler ended in a way.
async fn ended(server: &Server, how: &str) -> f64 {
    let series =
        format!(r#"hitchy_calls_total{{handler="api/shop.wasm",kind="request",outcome="{how}"}}"#);
    server.metrics().await.value(&series)
}

/// A connection on which one piece of the body comes after the other.
pub struct Open(TcpStream);

impl Open {
    /// Opens a connection and sends the head of a request, without the line that ends it.
    ///
    /// # Panics
    /// Panics if the server takes no connection.
    pub async fn begin(server: &Server, head: &str) -> Self {
        let mut tcp = TcpStream::connect(server.addr()).await.expect("open");
        let head = format!("{head} HTTP/1.1\r\nhost: shop.example\r\n");
        tcp.write_all(head.as_bytes()).await.expect("sent");
        Self(tcp)
    }

    /// Sends text as it is.
    ///
    /// # Panics
    /// Panics if the connection has ended.
    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
    }

    /// Sends a chunk of a body.
    ///
    /// # Panics
    /// Panics if the connection has ended.
    pub async fn chunk(&mut self, text: &str) {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Reads until a text has arrived, and returns everything up to it.
    ///
    /// # Panics
    /// Panics if the connection ends before, or if the text does not arrive within 10 seconds.
    pub async fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        let all = async {
            while !String::from_utf8_lossy(&read).contains(text) {
                let byte = self.0.read_u8().await;
                read.push(byte.expect("more arrives"));
            }
        };
        within(&format!("{text:?} arrives"), SOON, all).await;
        String::from_utf8(read).expect("text")
    }

    /// Reads until the connection ends.
    ///
    /// # Panics
    /// Panics if it does not end within 20 seconds.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest);
        let _ = within("the connection ends", SOON * 2, read).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
