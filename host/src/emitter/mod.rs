//! Sends events to one client, to rooms, to a namespace.
//!
//! Only this module and `server` use the socket.io library. This module hides the adapter in use: a [`SocketIo`] of any
//! adapter becomes an [`Emitter`], and a socket of any adapter a [`Link`](crate::sockets::Link).

mod ack;
mod audience;
mod backpressure;
mod broadcaster;
mod link;
mod remote;
mod socket;

pub use self::audience::{Acks, Audience, MAX_NAME, check_event_length};
pub(crate) use self::backpressure::is_crowded;
pub use self::link::SocketLink;

use std::sync::Arc;
use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;

use self::broadcaster::Broadcaster;
use self::remote::FromOthers;
use self::socket::check_event;
use crate::cluster::{Change, Cluster, Receiver};
use crate::metrics::Metrics;
use crate::payload::{Failure, Payload};
use crate::sockets::Connection;

/// The longest wait for a connection that has just been opened.
const MAX_CONNECT_WAIT: Duration = Duration::from_millis(20);

/// Sends events to clients. A clone is cheap and sends through the same server.
#[derive(Clone)]
pub struct Emitter {
    /// The clients of this node.
    broadcaster: Arc<dyn Broadcaster>,
    /// The way to the clients of other nodes, if there are any.
    cluster: Option<Arc<Cluster>>,
    metrics: Arc<Metrics>,
}

impl Emitter {
    /// Makes an emitter that sends through a socket.io server and counts in `metrics`.
    pub fn new<A: Adapter>(io: SocketIo<A>, metrics: Arc<Metrics>) -> Self {
        Self {
            broadcaster: Arc::new(io),
            cluster: None,
            metrics,
        }
    }

    /// Returns the way of other nodes to the clients of this node.
    pub fn receiver(&self) -> Arc<dyn Receiver> {
        Arc::new(FromOthers(Arc::clone(&self.broadcaster)))
    }

    /// Returns an emitter that reaches the clients of other nodes too.
    #[must_use]
    pub fn reaching(self, cluster: Option<Arc<Cluster>>) -> Self {
        Self { cluster, ..self }
    }

    /// Makes an emitter that reaches nobody, for checking handlers without serving them.
    pub fn to_nobody() -> Self {
        Self::new(SocketIo::new_layer().1, Arc::default())
    }

    /// Sends an event to an audience. The clients of this node come first, whatever becomes of the others.
    pub async fn emit(
        &self,
        audience: Audience,
        event: &str,
        payload: &Payload,
    ) -> Result<(), Failure> {
        check_event(event)?;
        self.metrics.emits_to_many.one();
        let Some(others) = self.others(&audience) else {
            return self.broadcaster.emit(audience, event, payload).await;
        };
        let outgoing = others.prepare(remote::event(&audience, event, payload));
        self.broadcaster.emit(audience, event, payload).await?;
        // No await lies between: a call that is dropped here did both or nothing.
        others.send(outgoing);
        others.place_for_more().await;
        Ok(())
    }

    /// Sends an event to an audience and collects the acks that come within `timeout`. A node that does not answer is an
    /// entry without an id.
    pub async fn emit_with_ack(
        &self,
        audience: Audience,
        event: &str,
        payload: &Payload,
        timeout: Duration,
    ) -> Result<Acks, Failure> {
        check_event(event)?;
        self.metrics.emits_to_many.one();
        let others = self.others(&audience);
        let asking = others.map(|_| remote::asking_event(&audience, event, payload));
        let sent = self
            .broadcaster
            .emit_with_ack(audience, event, payload, timeout);
        let here = sent.await?;
        let (Some(others), Some(asking)) = (others, asking) else {
            return Ok(here.await);
        };
        let (mut acks, there) = tokio::join!(here, others.acks(asking, timeout));
        acks.extend(there);
        Ok(acks)
    }

    /// Adds the sockets of an audience to rooms. Other nodes are asked first whether none has too many.
    pub async fn join(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        let Some(others) = self.others(&audience) else {
            return self.broadcaster.join(audience, rooms).await;
        };
        self.broadcaster.check_join(audience.clone(), &rooms)?;
        let of = remote::selection(&audience);
        others.check_join(of.clone(), rooms.clone()).await?;
        self.broadcaster.join(audience, rooms.clone()).await?;
        others.change(&Change::Join { of, rooms });
        Ok(())
    }

    /// Removes the sockets of an audience from rooms.
    pub async fn leave(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        let Some(others) = self.others(&audience) else {
            return self.broadcaster.leave(audience, rooms).await;
        };
        let of = remote::selection(&audience);
        self.broadcaster.leave(audience, rooms.clone()).await?;
        others.change(&Change::Leave { of, rooms });
        Ok(())
    }

    /// Disconnects an audience from its namespace, or from every namespace if `close` is true.
    pub async fn disconnect(&self, audience: Audience, close: bool) -> Result<(), Failure> {
        let Some(others) = self.others(&audience) else {
            return self.broadcaster.disconnect(audience, close).await;
        };
        let of = remote::selection(&audience);
        self.broadcaster.disconnect(audience, close).await?;
        others.change(&Change::Disconnect { of, close });
        Ok(())
    }

    /// Returns the other nodes, if an audience may have sockets there.
    fn others(&self, audience: &Audience) -> Option<&Cluster> {
        let cluster = self.cluster.as_deref();
        cluster.filter(|_| !audience.this_node_only)
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
    ///
    /// # Errors
    /// 503 if a node does not answer, or Redis is not reached: a list that is not whole would be worse than none.
    pub async fn ids(&self, audience: Audience) -> Result<Vec<String>, Failure> {
        let Some(others) = self.others(&audience) else {
            return self.broadcaster.ids(audience).await;
        };
        let of = remote::selection(&audience);
        let mut ids = self.broadcaster.ids(audience).await?;
        ids.extend(others.ids(of).await?);
        Ok(ids)
    }
}
