//! Sends events to one client, to rooms, to a namespace.
//!
//! Only this module and `server` use the socket.io library. This module hides the adapter in use: a [`SocketIo`] of any
//! adapter becomes an [`Emitter`], and a socket of any adapter a [`Link`](crate::sockets::Link).

mod ack;
mod audience;
mod backpressure;
mod broadcaster;
mod link;
mod socket;

pub use self::audience::{Acks, Audience};
pub(crate) use self::backpressure::is_crowded;
pub use self::link::SocketLink;

use std::sync::Arc;
use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;

use self::broadcaster::Broadcaster;
use self::socket::check_event;
use crate::metrics::Metrics;
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// The longest wait for a connection that has just been opened.
const MAX_CONNECT_WAIT: Duration = Duration::from_millis(20);

/// Sends events to clients. A clone is cheap and sends through the same server.
#[derive(Clone)]
pub struct Emitter {
    broadcaster: Arc<dyn Broadcaster>,
    metrics: Arc<Metrics>,
}

impl Emitter {
    /// Makes an emitter that sends through a socket.io server and counts in `metrics`.
    pub fn new<A: Adapter>(io: SocketIo<A>, metrics: Arc<Metrics>) -> Self {
        Self {
            broadcaster: Arc::new(io),
            metrics,
        }
    }

    /// Makes an emitter that reaches nobody, for checking handlers without serving them.
    pub fn to_nobody() -> Self {
        Self::new(SocketIo::new_layer().1, Arc::default())
    }

    /// Sends an event to an audience.
    pub async fn emit(
        &self,
        audience: Audience,
        event: &str,
        payload: &Payload,
    ) -> Result<(), Failure> {
        check_event(event)?;
        self.metrics.emits_to_many.one();
        self.broadcaster.emit(audience, event, payload).await
    }

    /// Sends an event to an audience and collects the acks that come within `timeout`.
    pub async fn emit_with_ack(
        &self,
        audience: Audience,
        event: &str,
        payload: &Payload,
        timeout: Duration,
    ) -> Result<Acks, Failure> {
        check_event(event)?;
        self.metrics.emits_to_many.one();
        self.broadcaster
            .emit_with_ack(audience, event, payload, timeout)
            .await
    }

    /// Adds the sockets of an audience to rooms.
    pub async fn join(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        self.broadcaster.join(audience, rooms).await
    }

    /// Removes the sockets of an audience from rooms.
    pub async fn leave(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        self.broadcaster.leave(audience, rooms).await
    }

    /// Disconnects an audience from its namespace, or from every namespace if `close` is true.
    pub async fn disconnect(&self, audience: Audience, close: bool) -> Result<(), Failure> {
        self.broadcaster.disconnect(audience, close).await
    }

    /// Returns the connection of this id, if it is connected here.
    ///
    /// The library sends CONNECT a moment before it lets anything else be sent, and a client may be faster than that
    /// moment. A connection that has just been opened is therefore waited for, for at most 20 ms.
    pub async fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>> {
        let connection = self.broadcaster.find(namespace, id)?;
        connection.wait_until_settled(MAX_CONNECT_WAIT).await;
        (!connection.has_ended()).then_some(connection)
    }

    /// Returns the ids of an audience.
    pub async fn ids(&self, audience: Audience) -> Result<Vec<String>, Failure> {
        self.broadcaster.ids(audience).await
    }
}
