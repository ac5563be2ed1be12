//! One connection to one namespace, over a websocket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use http::header::USER_AGENT;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::address::Address;
use super::error::Error;
use super::header::{Header, lay, user_agent};
use super::packet::{self, Decoder, Frame, PONG, Packet};
use crate::payload::Payload;
use crate::text::visible;

/// The largest message that is taken.
pub(super) const MAX_MESSAGE: usize = 64 << 20;
/// The longest time that closing a connection may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The server to connect to, and the data for CONNECT.
pub(super) struct Target {
    pub(super) address: Address,
    /// Of socket.io, without a slash at its end.
    pub(super) path: String,
    pub(super) namespace: String,
    /// A JSON object.
    pub(super) auth: Option<String>,
    /// Of the handshake.
    pub(super) headers: Vec<Header>,
    /// For connecting, and for an answer.
    pub(super) timeout: Duration,
}

/// A client in a namespace.
pub(super) struct Connection<'a> {
    target: &'a Target,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    /// After so much silence the server is gone.
    silence: Duration,
}

impl<'a> Connection<'a> {
    /// Connects, and is let in.
    pub(super) async fn open(target: &'a Target) -> Result<Self, Error> {
        let opened = timeout(target.timeout, Self::connect(target)).await;
        opened.unwrap_or_else(|_| Err(target.too_slow("let this client in")))
    }

    async fn connect(target: &'a Target) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let connected = connect_async_with_config(target.handshake()?, Some(config), true).await;
        let (stream, _) =
            connected.map_err(|error| Error::of_handshake(&target.address, &target.path, error))?;
        let mut connection = Self {
            target,
            stream,
            decoder: Decoder::new(&target.namespace),
            silence: target.timeout,
        };
        connection.silence = connection.opened().await?;
        let hello = packet::connect(&target.namespace, target.auth.as_deref());
        connection.send(Message::text(hello)).await?;
        loop {
            match connection.next().await? {
                Packet::Connected => return Ok(connection),
                Packet::Refused(message) => return Err(target.refused(&message)),
                _ => {}
            }
        }
    }

    /// engine.io's first word.
    async fn opened(&mut self) -> Result<Duration, Error> {
        let message = self.message().await?;
        let frame = message.to_text().ok().map(Frame::read);
        match frame {
            Some(Ok(Frame::Open { silence })) => Ok(silence),
            _ => Err(Error::NotSocketIo(
                self.target.address.clone(),
                self.target.path.clone(),
            )),
        }
    }

    /// The next packet for this namespace. Keeps the connection alive meanwhile.
    pub(super) async fn next(&mut self) -> Result<Packet, Error> {
        loop {
            let read = match self.message().await? {
                Message::Text(text) => match Frame::read(&text) {
                    Ok(Frame::Ping) => {
                        self.send(Message::text(PONG)).await?;
                        continue;
                    }
                    Ok(Frame::Close) => return Err(self.lost("the server closed it")),
                    Ok(Frame::Message(packet)) => self.decoder.text(packet),
                    Ok(Frame::Open { .. } | Frame::Other) => continue,
                    Err(error) => Err(error),
                },
                Message::Binary(bytes) => self.decoder.binary(bytes),
                _ => continue,
            };
            match read {
                Ok(Some(Packet::Disconnected)) => return Err(self.dismissed()),
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => {}
                Err(error) => return Err(Error::Packet(self.target.address.clone(), error)),
            }
        }
    }

    /// Emits an event, its name the first argument.
    pub(super) async fn emit(&mut self, event: &Payload, ack: Option<u64>) -> Result<(), Error> {
        let text = packet::event(&self.target.namespace, ack, event);
        self.send_with(text, &event.attachments).await
    }

    /// Emits an event and waits for its ack.
    pub(super) async fn ask(&mut self, event: &Payload) -> Result<Payload, Error> {
        let target = self.target;
        let answer = async {
            self.emit(event, Some(0)).await?;
            loop {
                if let Packet::Ack { id: 0, args } = self.next().await? {
                    return Ok(args);
                }
            }
        };
        let answer = timeout(target.timeout, answer).await;
        answer.unwrap_or_else(|_| Err(target.too_slow("answered")))
    }

    /// Sends the ack of an event.
    pub(super) async fn ack(&mut self, id: u64, args: &Payload) -> Result<(), Error> {
        let text = packet::ack(&self.target.namespace, id, args);
        self.send_with(text, &args.attachments).await
    }

    /// Waits until the server has read all that was sent: a ping of the websocket is answered in its turn.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let target = self.target;
        let answered = async {
            self.send(Message::Ping(Bytes::from_static(b"read?")))
                .await?;
            while !matches!(self.message().await?, Message::Pong(_)) {}
            Ok(())
        };
        let answered = timeout(target.timeout, answered).await;
        answered.unwrap_or_else(|_| Err(target.too_slow("read what was sent")))
    }

    /// Says goodbye. Nothing depends on how it is taken.
    pub(super) async fn leave(mut self) {
        let goodbye = packet::disconnect(&self.target.namespace);
        let left = async {
            self.stream.send(Message::text(goodbye)).await?;
            self.stream.close(None).await?;
            while self.stream.next().await.is_some_and(|read| read.is_ok()) {}
            Ok::<_, tungstenite::Error>(())
        };
        let _ = timeout(GOODBYE, left).await;
    }

    async fn message(&mut self) -> Result<Message, Error> {
        match timeout(self.silence, self.stream.next()).await {
            Err(_) => Err(self.lost("the server has fallen silent")),
            Ok(None | Some(Ok(Message::Close(_)))) => Err(self.lost("the server closed it")),
            Ok(Some(Err(error))) => Err(self.broken(&error)),
            Ok(Some(Ok(message))) => Ok(message),
        }
    }

    async fn send_with(&mut self, text: String, attachments: &[Bytes]) -> Result<(), Error> {
        self.send(Message::text(text)).await?;
        for attachment in attachments {
            self.send(Message::Binary(attachment.clone())).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = timeout(self.silence, self.stream.send(message)).await;
        let sent = sent.map_err(|_| self.lost("the server takes nothing any more"))?;
        sent.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &tungstenite::Error) -> Error {
        match error {
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => self.lost("the server closed it"),
            error => self.lost(&error.to_string()),
        }
    }

    fn lost(&self, why: &str) -> Error {
        Error::Lost(self.target.address.clone(), why.to_owned())
    }

    fn dismissed(&self) -> Error {
        Error::Dismissed(self.target.address.clone(), self.target.namespace.clone())
    }
}

impl Target {
    fn handshake(&self) -> Result<tungstenite::handshake::client::Request, Error> {
        let target = format!("{}/?EIO=4&transport=websocket", self.path);
        let mut request = self
            .address
            .websocket(&target)
            .into_client_request()
            .map_err(|error| Error::of_handshake(&self.address, &self.path, error))?;
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(USER_AGENT, user_agent());
        lay(self.headers.iter(), headers);
        Ok(request)
    }

    fn too_slow(&self, what: &'static str) -> Error {
        Error::Timeout(self.address.clone(), what, self.timeout)
    }

    fn refused(&self, message: &str) -> Error {
        Error::Refused {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
            message: visible(message).into_owned(),
        }
    }
}
