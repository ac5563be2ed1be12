//! Receives events from the library in the order of arrival, and queues them for their connection's worker.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use socketioxide::adapter::Adapter;
use socketioxide::handler::{MessageHandler, Value};
use socketioxide::socket::Socket;
use socketioxide_core::Str;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use super::ack::Ack;
use super::inbound_limit::{InboundLimit, InboundPermit};
use super::wire::event_name::original;
use crate::dispatch::{Accepted, Dispatch};
use crate::ending::Ending;
use crate::message::{CallId, Event};
use crate::names::RESERVED;
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// An entry in the queue of a connection.
pub(super) enum Item<A: Adapter> {
    Event(Event, Ack<A>, Accepted),
    /// The end of the connection, with the reason as socket.io names it.
    Disconnected(&'static str),
}

/// Receives the events of one connection from the library, without waiting and without changing their order.
pub(in crate::server) struct Inbox<A: Adapter> {
    pub(in crate::server) connection: Arc<Connection>,
    pub(in crate::server) dispatch: Arc<Dispatch>,
    /// Largest packet that is accepted, in bytes.
    pub(super) body_limit: usize,
    /// Size of a packet above which the client is ended, in bytes.
    pub(super) packet_limit: usize,
    pub(super) inbound_limit: Arc<InboundLimit>,
    /// Permits for refusals that wait until the client reads.
    pub(super) deferred: Arc<Semaphore>,
    pub(super) items: UnboundedSender<Item<A>>,
}

impl<A: Adapter> MessageHandler<A, Inbox<A>> for Inbox<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (ack, checked) = self.receive(&socket, value, ack_id);
        let received = match checked {
            Ok(received) => received,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let Some(permit) = self.acquire(received.size()) else {
            let sentence = "too many events of this connection are waiting; send more slowly";
            return self.refuse(ack, &Failure::new(429, sentence));
        };
        let event = match received.event() {
            Ok(event) => event,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let accepted = match self.dispatch.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse(ack, &refusal.failure()),
        };
        let item = Item::Event(event, ack.holding(permit), accepted);
        // Fails if the worker has ended, which happens while the server shuts down. The ack answers when it is dropped.
        let _ = self.items.send(item);
    }
}

impl<A: Adapter> Inbox<A> {
    /// Counts a refused event and answers it.
    fn refuse(&self, ack: Ack<A>, failure: &Failure) {
        self.connection.session.metrics().events_failed.one();
        ack.fail_now(failure);
    }

    /// Counts an event of `bytes` bytes against the limit of the connection; none if the limit is reached.
    ///
    /// A client that floods the connection is ended.
    pub(in crate::server) fn acquire(&self, bytes: usize) -> Option<InboundPermit> {
        let permit = self.inbound_limit.acquire(bytes);
        if permit.is_none() && self.inbound_limit.is_flooded() {
            self.connection.session.end(Ending::Flood);
        }
        permit
    }

    /// Returns the ack of a packet, and the packet or the failure to answer with if its size or its kind is not
    /// accepted.
    pub(in crate::server) fn receive(
        &self,
        socket: &Arc<Socket<A>>,
        value: Value,
        ack_id: Option<i64>,
    ) -> (Ack<A>, Result<Received, Failure>) {
        let id = self.dispatch.next_id();
        let ack = Ack::new(
            socket,
            &self.connection,
            &self.deferred,
            ack_id,
            Arc::clone(&id),
        );
        let Value::Str(text, binaries) = value else {
            let failure = Failure::new(400, "only JSON packets are understood");
            return (ack, Err(failure));
        };
        let received = Received {
            id,
            text,
            attachments: binaries.into_iter().flatten().collect(),
            ack_wanted: ack_id.is_some(),
        };
        let fits = self.check_size(received.size());
        (ack, fits.map(|()| received))
    }

    /// Checks the size of a packet, and ends a client whose packet is far too large.
    fn check_size(&self, size: usize) -> Result<(), Failure> {
        let limit = self.body_limit;
        if size <= limit {
            return Ok(());
        }
        let session = &self.connection.session;
        if let Some(total) = session.metrics().too_large.count() {
            tracing::warn!(socket = %self.connection.id, "a packet of {size} bytes was refused; {limit} are allowed (server.body-limit); {total} bodies and packets so far");
        }
        // A websocket ends at this size by itself, but a poll may carry a larger packet.
        if size > self.packet_limit {
            session.end(Ending::TooLarge);
        }
        let sentence = format!("the packet has {size} bytes; at most {limit} are taken");
        Err(Failure::new(413, sentence))
    }
}

/// A packet as it was received: the text `["name",1,2]`, and the attachments that its placeholders refer to.
pub(in crate::server) struct Received {
    pub(in crate::server) id: CallId,
    pub(in crate::server) text: Str,
    pub(in crate::server) attachments: Vec<Bytes>,
    ack_wanted: bool,
}

impl Received {
    /// Returns the bytes of the text and of the attachments.
    pub(in crate::server) fn size(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        self.text.as_str().len() + attachments
    }

    /// Returns the name of the event; none if the packet does not begin with a name.
    pub(in crate::server) fn name(&self) -> Option<Cow<'_, str>> {
        split(self.text.as_str()).map(|(name, _)| original(name))
    }

    /// Checks the packet and converts it to an event.
    fn event(self) -> Result<Event, Failure> {
        let sentence = "the packet is not an array that begins with the event's name";
        let (name, arguments) =
            split(self.text.as_str()).ok_or_else(|| Failure::new(400, sentence))?;
        let name = original(name);
        if RESERVED.contains(&&*name) {
            let sentence = format!("{name} is a name that socket.io reserves; choose another");
            return Err(Failure::new(400, sentence));
        }
        let mut json = String::with_capacity(arguments.len() + 1);
        json.push('[');
        json.push_str(arguments);
        let payload = Payload {
            json,
            attachments: self.attachments,
        };
        payload.check()?;
        Ok(Event {
            id: self.id,
            name: name.into_owned(),
            payload,
            ack_wanted: self.ack_wanted,
        })
    }
}

/// Splits the text of a packet into name and arguments: `["name",1,2]` into `name` and `1,2]`.
///
/// No name has an escape: the library refuses such packets, and the wire has replaced their names.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .trim_start()
        .strip_prefix('[')?
        .trim_start()
        .strip_prefix('"')?;
    let (name, after_name) = rest.split_once('"')?;
    let tail = after_name.trim_start();
    let arguments = match tail.strip_prefix(',') {
        Some(arguments) => arguments,
        None if tail.starts_with(']') => tail,
        None => return None,
    };
    Some((name, arguments))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn c05_a_packet_is_a_name_and_any_number_of_arguments() {
        for (text, name, arguments) in [
            (r#"["a"]"#, "a", "]"),
            (r#"["a",1,"b"]"#, "a", r#"1,"b"]"#),
            (r#" [ "ü🙂" , {"x":[]} ]"#, "ü🙂", r#" {"x":[]} ]"#),
        ] {
            assert_eq!(split(text), Some((name, arguments)));
        }
        for text in ["", "[]", "[1]", r#"["a"1]"#, r#"{"a":1}"#] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
