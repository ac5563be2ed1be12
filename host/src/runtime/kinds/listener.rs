//! Listeners: a namespace and an event, handled by the guest's `events.on-event`.

use std::sync::Arc;

use super::kind::{CallKind, Kind, Row, Words, check_text, impl_export, refuse};
use super::namespace;
use crate::message::Event;
use crate::names::{REQUESTS, RESERVED};
use crate::payload::Payload;
use crate::runtime::bindings::exports::hitchy::platform::events as exported;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::cgi::command::Command;
use crate::runtime::convert;
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::handles::SocketHandle;
use crate::runtime::instance::lease::Owner;
use crate::sockets::Connection;

/// The call for an event of a client.
pub const EVENT: CallKind = CallKind { name: "event" };

/// A namespace and an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The namespace: `/` or `/name`.
    pub namespace: String,
    /// The name of the event. `*` stands for all events that the file does not name.
    pub event: String,
}

impl Kind for Listener {
    /// The namespace and the event as the guest declared them.
    type Raw = (String, String);
    impl_export!(exported);

    const WORDS: Words = Words {
        key: "listeners",
        title: "listeners",
        one: "a listener",
        interface: "events",
    };
    const CALLS: &'static [CallKind] = &[EVENT];

    fn check((namespace, event): Self::Raw) -> Result<Self, LoadError> {
        namespace::check(&namespace)?;
        check_text("event", &event)?;
        if namespace == REQUESTS {
            return refuse(format!(
                "it listens to {event:?} in {REQUESTS}, which is reserved for requests; use another namespace"
            ));
        }
        if RESERVED.contains(&event.as_str()) {
            return refuse(format!(
                "it listens to {event:?}, which socket.io keeps for itself; declare a connection hook instead"
            ));
        }
        Ok(Self { namespace, event })
    }

    fn warning((namespace, _): &Self::Raw) -> Option<String> {
        namespace::warning(namespace)
    }

    fn check_all(all: &[Self]) -> Result<(), LoadError> {
        for (index, listener) in all.iter().enumerate() {
            if all[..index].contains(listener) {
                let Self { namespace, event } = listener;
                return refuse(format!(
                    "it listens twice to the event {event:?} of {namespace}; remove one"
                ));
            }
        }
        Ok(())
    }

    fn row(&self) -> Row<'_> {
        let line = match self.namespace.as_str() {
            "/" => format!("event {}", self.event),
            namespace => format!("event {} of {namespace}", self.event),
        };
        Row {
            line,
            cells: vec![
                ("namespace", self.namespace.as_str()),
                ("event", self.event.as_str()),
            ],
            sort_key: [&self.namespace, &self.event],
        }
    }
}

impl Guest {
    /// Calls `on-event` of a listener, by its index. The payload that it returns is the ack.
    pub async fn on_event(
        &self,
        context: CallContext,
        listener: u32,
        connection: Arc<Connection>,
        event: &Event,
    ) -> Outcome<Option<Payload>> {
        if let Some(command) = self.exports.find::<Command>() {
            let ack = self.event_by_cgi(context, command, &connection, event);
            return ack.await;
        }
        let args = convert::payload_to_guest(event.payload.clone());
        let owner = Arc::clone(&connection);
        let answer = self
            .serve(context, Owner::Socket(&owner), async |store, linked| {
                let guest = self.load::<Listener>(store, linked)?;
                let socket = store
                    .data_mut()
                    .handles_mut()?
                    .push(SocketHandle(connection))?;
                guest
                    .call_on_event(
                        &mut *store,
                        listener,
                        socket,
                        &event.name,
                        &args,
                        event.ack_wanted,
                    )
                    .await
            })
            .await?;
        self.outcome(answer, |ack, sizes| {
            ack.map(|ack| convert::ack(ack, sizes)).transpose()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_listeners_in_hitchy_are_refused() {
        for namespace in ["/hitchy", "/hitchy/x"] {
            assert!(Listener::check((namespace.to_owned(), "event".to_owned())).is_err());
        }
    }
}
