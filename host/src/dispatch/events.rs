//! Events, and the hooks of connections: which handlers are called, in which order, and what the client gets.

use std::fmt;
use std::sync::Arc;

use super::admission::readiness_of;
use super::call_log::{Running, is_logged, log_hook};
use super::{Dispatch, client_result};
use crate::message::{CallId, Event};
use crate::payload::{Failure, Payload};
use crate::registry::Entry;
use crate::runtime::CallContext;
use crate::runtime::kinds::kind::CallKind;
use crate::runtime::kinds::{connection, listener};
use crate::sockets::Connection;

impl Dispatch {
    /// Handles an event with every file that listens, one after the other. The result is the ack.
    pub async fn event(
        &self,
        connection: &Arc<Connection>,
        event: &Event,
    ) -> Result<Payload, Failure> {
        let ack = self.tell_listeners(connection, event).await;
        match &ack {
            Ok(_) => self.metrics.events_handled.one(),
            Err(_) => self.metrics.events_failed.one(),
        }
        ack
    }

    async fn tell_listeners(
        &self,
        connection: &Arc<Connection>,
        event: &Event,
    ) -> Result<Payload, Failure> {
        let table = self.registry.table();
        // The table that accepted the event may have been another one.
        readiness_of(&table).map_err(|refusal| refusal.failure())?;
        let listeners = table.listeners(&connection.namespace, &event.name);
        if listeners.is_empty() {
            return Err(Failure::new(
                404,
                format!(
                    "no handler listens to {:?} in {}",
                    event.name, connection.namespace
                ),
            ));
        }
        let (mut ack, mut first_failure) = (None, None);
        for Entry { handler, index } in &listeners {
            let context = self.context(&event.id, connection.handshake.remote);
            let call = |context| handler.on_event(context, *index, Arc::clone(connection), event);
            let outcome = self.call(handler, listener::EVENT, &context, call).await;
            match client_result(
                handler,
                &context,
                &format_args!("event {:?}", event.name),
                outcome,
            ) {
                Ok(payload) => ack = ack.or(payload),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        match (ack, first_failure) {
            (Some(payload), _) => Ok(payload),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(Payload::empty()),
        }
    }

    /// Calls the connection hooks of a namespace in order. The first refusal counts.
    pub async fn connect(&self, connection: &Arc<Connection>) -> Result<(), Failure> {
        let answer = self.ask_hooks(connection).await;
        match &answer {
            Ok(()) => self.metrics.connects_accepted.one(),
            Err(_) => self.metrics.connects_refused.one(),
        }
        answer
    }

    async fn ask_hooks(&self, connection: &Arc<Connection>) -> Result<(), Failure> {
        let _accepted = self.accept().map_err(|refusal| refusal.failure())?;
        let table = self.registry.table();
        readiness_of(&table).map_err(|refusal| refusal.failure())?;
        if !table.declares(&connection.namespace) {
            return Err(Failure::new(404, "Invalid namespace"));
        }
        let hooks = table.hooks(&connection.namespace);
        if hooks.is_empty() {
            return Ok(());
        }
        for Entry { handler, index } in hooks {
            let id = self.next_id();
            let call = |context| handler.on_connect(context, *index, Arc::clone(connection));
            let context = self.context(&id, connection.handshake.remote);
            let outcome = self
                .call(handler, connection::CONNECT, &context, call)
                .await;
            let broken = match &outcome {
                // What the SDKs make of an error that is not meant for the client.
                Ok(answer) => matches!(answer, Err(failure) if failure.code == 500),
                Err(error) => is_logged(error),
            };
            let what = format_args!("connect to {}", connection.namespace);
            let result = client_result(handler, &context, &what, outcome);
            // `connect_error` carries nothing but a message. A refusal that is meant for the client is left as it is.
            result.map_err(|failure| {
                if broken {
                    naming(failure, &id)
                } else {
                    failure
                }
            })?;
        }
        Ok(())
    }

    /// Calls the connection hooks of a namespace for a client that has connected.
    pub async fn connected(&self, connection: &Arc<Connection>) {
        self.tell(connection, HookEvent::Connected).await;
    }

    /// Calls the connection hooks of a namespace for a client that has disconnected.
    pub async fn disconnected(&self, connection: &Arc<Connection>, reason: &'static str) {
        self.tell(connection, HookEvent::Gone(reason)).await;
    }

    async fn tell(&self, connection: &Arc<Connection>, news: HookEvent) {
        let table = self.registry.table();
        let hooks = table.hooks(&connection.namespace);
        if hooks.is_empty() {
            return;
        }
        for Entry { handler, index } in hooks {
            let _permits = self.gate.enter_patiently(&handler.permits).await;
            let id = self.next_id();
            let (context, connection) = (
                CallContext::new(Arc::clone(&id), connection.handshake.remote),
                Arc::clone(connection),
            );
            let running = Running::begin(handler, news.kind());
            let told = match news {
                HookEvent::Connected => handler.on_connected(context, *index, connection).await,
                HookEvent::Gone(reason) => {
                    handler
                        .on_disconnect(context, *index, connection, reason)
                        .await
                }
            };
            running.end(&told);
            log_hook(handler, &id, &news, told);
        }
    }
}

/// An event in the life of a connection that hooks are called for and cannot prevent.
#[derive(Clone, Copy)]
enum HookEvent {
    Connected,
    Gone(&'static str),
}

impl HookEvent {
    fn kind(self) -> CallKind {
        match self {
            Self::Connected => connection::CONNECTED,
            Self::Gone(_) => connection::DISCONNECT,
        }
    }
}

impl fmt::Display for HookEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => formatter.write_str("on-connected"),
            Self::Gone(reason) => write!(formatter, "on-disconnect ({reason})"),
        }
    }
}

/// Adds the id to the message of a failure, so that it can be found in the log.
fn naming(failure: Failure, id: &CallId) -> Failure {
    Failure {
        message: format!("{} (id {id})", failure.message),
        ..failure
    }
}
