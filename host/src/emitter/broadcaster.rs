//! The operations on many sockets, for one type of adapter.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Sid;

use super::ack::AckValue;
use super::audience::{Acks, Audience};
use super::backpressure;
use super::socket::{ack_failure, check_namespace, connection, disconnect, disconnect_everywhere};
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// The operations of [`Emitter`](super::Emitter) for one type of adapter.
pub(super) trait Broadcaster: Send + Sync {
    fn emit<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<(), Failure>>;
    /// Sends an event. Returns when it has been sent, with the acks to come.
    fn emit_with_ack<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<BoxFuture<'static, Acks>, Failure>>;
    /// Fails with 413 if one of the sockets may not join.
    fn check_join(&self, audience: Audience, rooms: &[String]) -> Result<(), Failure>;
    fn join(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>>;
    fn leave(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>>;
    fn disconnect(&self, audience: Audience, close: bool) -> BoxFuture<'_, Result<(), Failure>>;
    fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>>;
    /// Returns true if there is a namespace of this name, whether anybody is in it or not.
    fn has(&self, namespace: &str) -> bool;
    fn ids(&self, audience: Audience) -> BoxFuture<'_, Result<Vec<String>, Failure>>;
}

impl<A: Adapter> Broadcaster for SocketIo<A> {
    fn emit<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let arguments = payload.arguments()?;
            let droppable = audience.droppable;
            let operators = select(self, audience)?;
            if !droppable {
                backpressure::make_capacity(&operators, payload.size()).await;
            }
            match operators.clone().emit(event, &arguments).await {
                Ok(()) => Ok(()),
                Err(socketioxide::BroadcastError::Socket(errors)) => {
                    backpressure::end_losers(&operators, errors.len());
                    Ok(())
                }
                Err(other) => Err(Failure::new(
                    503,
                    format!("the event was not sent everywhere: {other}"),
                )),
            }
        })
    }

    fn emit_with_ack<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<BoxFuture<'static, Acks>, Failure>> {
        Box::pin(async move {
            let arguments = payload.arguments()?;
            let operators = select(self, audience)?.timeout(timeout);
            backpressure::make_capacity(&operators, payload.size()).await;
            let sent = operators.emit_with_ack::<_, AckValue>(event, &arguments);
            let acks = sent.await.map_err(|error| {
                Failure::new(503, format!("the event was not sent everywhere: {error}"))
            })?;
            let acks = acks.map(|(id, ack)| {
                (
                    id.to_string(),
                    ack.map(|value| value.0).map_err(ack_failure),
                )
            });
            let acks: BoxFuture<'static, Acks> = Box::pin(acks.collect());
            Ok(acks)
        })
    }

    fn check_join(&self, audience: Audience, rooms: &[String]) -> Result<(), Failure> {
        let sockets = select(self, audience)?.sockets();
        let mut connections = sockets.iter().filter_map(|socket| connection(socket));
        connections.try_for_each(|connection| connection.check_join(rooms))
    }

    fn join(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            self.check_join(audience.clone(), &rooms)?;
            let joined = select(self, audience)?.join(rooms).await;
            joined.map_err(|error| unreachable_nodes(&error))
        })
    }

    fn leave(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let left = select(self, audience)?.leave(rooms).await;
            left.map_err(|error| unreachable_nodes(&error))
        })
    }

    fn disconnect(&self, audience: Audience, close: bool) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let operators = select(self, audience)?;
            for socket in operators.clone().local().sockets() {
                if close {
                    disconnect_everywhere(self, socket.id);
                } else {
                    disconnect(socket);
                }
            }
            // The sockets of other nodes.
            let disconnected = operators.disconnect().await;
            disconnected.or_else(|error| match error {
                socketioxide::BroadcastError::Socket(_) => Ok(()),
                other => Err(unreachable_nodes(&other)),
            })
        })
    }

    fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>> {
        let socket = self.of(namespace)?.get_socket(id.parse().ok()?)?;
        connection(&socket).filter(|connection| !connection.has_ended())
    }

    fn has(&self, namespace: &str) -> bool {
        self.of(namespace).is_some()
    }

    fn ids(&self, audience: Audience) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(async move {
            let operators = select(self, audience)?;
            let sockets = operators.clone().fetch_sockets().await;
            let sockets = sockets.map_err(|error| unreachable_nodes(&error))?;
            let ids = sockets.into_iter().map(|socket| socket.into_data().id);
            // The library forgets a socket a moment after it has disconnected.
            let is_here = |id: &Sid| {
                let socket = operators.get_socket(*id);
                let connection = socket.and_then(|socket| connection(&socket));
                connection.is_none_or(|connection| !connection.has_ended())
            };
            Ok(ids.filter(is_here).map(|id| id.to_string()).collect())
        })
    }
}

/// Selects the sockets of an audience. Fails with 403 in the namespace of requests, and with 404 in a namespace that no
/// handler declares.
fn select<A: Adapter>(
    io: &SocketIo<A>,
    audience: Audience,
) -> Result<BroadcastOperators<A>, Failure> {
    check_namespace(&audience.namespace)?;
    let Some(mut operators) = io.of(&audience.namespace) else {
        let message = format!("no handler declares the namespace {:?}", audience.namespace);
        return Err(Failure::new(404, message));
    };
    if !audience.rooms.is_empty() {
        operators = operators.within(audience.rooms);
    }
    if !audience.excluding.is_empty() {
        operators = operators.except(audience.excluding);
    }
    if audience.this_node_only {
        operators = operators.local();
    }
    if audience.droppable {
        operators = operators.volatile();
    }
    Ok(operators)
}

fn unreachable_nodes(error: &impl std::fmt::Display) -> Failure {
    Failure::new(503, format!("other nodes were not reached: {error}"))
}
