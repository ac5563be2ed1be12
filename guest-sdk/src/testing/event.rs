//! An event that is about to be sent.

use super::client::Client;
use super::play;
use crate::app;
use crate::double::sockets;
use crate::error::{Failure, Result};
use crate::event;
use crate::payload::Payload;
use crate::socket::Socket;

/// An event that a client is about to send, made by [`App::event`](super::App::event).
#[derive(Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct Event {
    app: fn() -> app::App,
    name: String,
    arguments: Payload,
    sender: Option<Socket>,
    ack_wanted: bool,
}

impl Event {
    pub(super) fn new(app: fn() -> app::App, name: &str, arguments: Payload) -> Self {
        Event {
            app,
            name: name.to_owned(),
            arguments,
            sender: None,
            ack_wanted: true,
        }
    }

    /// Sets the sender, which also sets the namespace. The default is a new client of `/`.
    pub fn from(mut self, client: &Socket) -> Self {
        self.sender = Some(client.clone());
        self
    }

    /// Sends the event without a callback.
    pub fn without_ack(mut self) -> Self {
        self.ack_wanted = false;
        self
    }

    /// Sends the event and returns the arguments of the client's callback: the first ack that a listener returned, or
    /// no arguments.
    ///
    /// # Errors
    /// Returns the first failure of a listener if no listener returned an ack, and 404 when no listener matches.
    pub fn send(self) -> Result<Payload, Failure> {
        let sender = self
            .sender
            .clone()
            .unwrap_or_else(|| Client::new(Some(self.app)).connect());
        let listeners = self.listeners(&sender.namespace());
        if listeners.is_empty() {
            return Err(Failure::new(
                404,
                format!("nobody listens to {}", self.name),
            ));
        }
        let (namespace, id) = (sender.namespace(), sender.id());
        let acks = listeners.into_iter().map(|index| {
            play::call(self.app, Some((&namespace, &id)), |app| {
                let event = self.event(&namespace, &id);
                (app.listeners[index].answer)(&event).map_err(Failure::from)
            })
        });
        let acks: Vec<_> = acks.collect();
        let answered = acks.iter().find_map(|ack| ack.as_ref().ok()?.clone());
        match (answered, acks.into_iter().find_map(Result::err)) {
            (Some(arguments), _) => Ok(arguments),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(Payload {
                json: "[]".to_owned(),
                attachments: Vec::new(),
            }),
        }
    }

    /// Returns the indexes of the named listeners, or of those to `*` if there are none.
    fn listeners(&self, namespace: &str) -> Vec<usize> {
        let listeners = (self.app)().entries.listeners;
        let of = |name: &str| {
            let all = listeners.iter().enumerate();
            let named = all
                .filter(|(_, listener)| listener.namespace == namespace && listener.event == name);
            named.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let named = of(&self.name);
        if named.is_empty() { of("*") } else { named }
    }

    fn event(&self, namespace: &str, id: &str) -> event::Event {
        event::Event {
            socket: Socket::new(sockets::Socket::new(namespace, id)),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            ack_wanted: self.ack_wanted,
        }
    }
}
