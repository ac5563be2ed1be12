//! Takes events from the library, in the order of arrival, and puts them into their connection's queue.

use std::sync::Arc;

use bytes::Bytes;
use socketioxide::adapter::Adapter;
use socketioxide::handler::{MessageHandler, Value};
use socketioxide::socket::Socket;
use socketioxide_core::Str;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use crate::dispatch::{Accepted, Dispatch};
use crate::message::{CallId, Event};
use crate::payload::{Failure, Payload};
use crate::server::socketio::ack::Ack;
use crate::server::socketio::inbound_limit::{Load, Waiting};
use crate::session::Ending;
use crate::sockets::Connection;

/// What happens to a connection, in order.
pub(in crate::server) enum Item<A: Adapter> {
    Event(Event, Ack<A>, Accepted),
    Gone(&'static str),
}

/// Takes events from the library: never waits, and never lets one overtake another.
pub(in crate::server) struct Inbox<A: Adapter> {
    pub(in crate::server) connection: Arc<Connection>,
    pub(in crate::server) dispatch: Arc<Dispatch>,
    /// Bytes of a packet, and above which it ends its client.
    pub(in crate::server) limit: usize,
    pub(in crate::server) packet_limit: usize,
    pub(in crate::server) load: Arc<Load>,
    /// Refusals that wait for room.
    pub(in crate::server) late: Arc<Semaphore>,
    pub(in crate::server) items: UnboundedSender<Item<A>>,
}

impl<A: Adapter> MessageHandler<A, Inbox<A>> for Inbox<A> {
    fn call(&self, socket: Arc<Socket<A>>, value: Value, ack_id: Option<i64>) {
        let (ack, received) = self.receive(&socket, value, ack_id);
        let received = match received {
            Ok(received) => received,
            Err(failure) => return self.refuse(ack, &failure),
        };
        let Some(waiting) = self.place(received.size()) else {
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
        let _ = self
            .items
            .send(Item::Event(event, ack.while_waiting(waiting), accepted));
    }
}

impl<A: Adapter> Inbox<A> {
    fn refuse(&self, ack: Ack<A>, failure: &Failure) {
        self.connection.session.metrics().events_failed.one();
        ack.fail_now(failure);
    }

    /// A place for an event of so many bytes, if there is one. A client that goes on and on where there is none is ended.
    pub(in crate::server) fn place(&self, bytes: usize) -> Option<Waiting> {
        let waiting = self.load.take(bytes);
        if waiting.is_none() && self.load.is_flooded() {
            self.connection.session.end_flood();
        }
        waiting
    }

    /// The way to answer a packet, and the packet, if its size is taken.
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
            &self.late,
            ack_id,
            Arc::clone(&id),
        );
        let Value::Str(text, attachments) = value else {
            let failure = Failure::new(400, "only JSON packets are understood");
            return (ack, Err(failure));
        };
        let attachments: Vec<Bytes> = attachments.into_iter().flatten().collect();
        let received = Received {
            id,
            text,
            attachments,
            ack_wanted: ack_id.is_some(),
        };
        let fits = self.check_size(received.size());
        (ack, fits.map(|()| received))
    }

    fn check_size(&self, size: usize) -> Result<(), Failure> {
        let limit = self.limit;
        if size <= limit {
            return Ok(());
        }
        let session = &self.connection.session;
        if let Some(total) = session.metrics().too_large.count() {
            tracing::warn!(socket = %self.connection.id, "a packet of {size} bytes was refused; {limit} are allowed (server.body-limit); {total} bodies and packets so far");
        }
        // Over polling more can come in than over a websocket.
        if size > self.packet_limit {
            session.end(Ending::TooLarge);
        }
        let sentence = format!("the packet has {size} bytes; at most {limit} are taken");
        Err(Failure::new(413, sentence))
    }
}

/// A packet as it came: `["name",1,2]`, and what its placeholders stand for.
pub(in crate::server) struct Received {
    pub(in crate::server) id: CallId,
    pub(in crate::server) text: Str,
    pub(in crate::server) attachments: Vec<Bytes>,
    ack_wanted: bool,
}

impl Received {
    pub(in crate::server) fn size(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        self.text.as_str().len() + attachments
    }

    /// The name of the event.
    pub(in crate::server) fn name(&self) -> Option<&str> {
        split(self.text.as_str()).map(|(name, _)| name)
    }

    /// The event, checked.
    fn event(self) -> Result<Event, Failure> {
        let sentence = "the packet is not an array that begins with the event's name";
        let (name, arguments) =
            split(self.text.as_str()).ok_or_else(|| Failure::new(400, sentence))?;
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
            name: name.to_owned(),
            payload,
            ack_wanted: self.ack_wanted,
        })
    }
}

/// The name of an event and its arguments, from the text of a packet: `name` and `1,2]` of `["name",1,2]`. The library has seen to
/// it that the name is a string without escapes.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text
        .trim_start()
        .strip_prefix('[')?
        .trim_start()
        .strip_prefix('"')?;
    let (name, rest) = rest.split_once('"')?;
    let rest = rest.trim_start();
    let arguments = match rest.strip_prefix(',') {
        Some(rest) => rest,
        None if rest.starts_with(']') => rest,
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
