//! Sends events to one client, to rooms, to a namespace.
//!
//! Apart from the server's folder only this one knows the socket.io library. It hides the adapter in use: a
//! [`SocketIo`] of any adapter becomes an [`Emitter`], and a socket of any adapter a [`Link`](crate::sockets::Link).

mod ack;
mod backpressure;
mod link;

pub(crate) use self::backpressure::is_crowded;
pub use self::link::SocketLink;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use socketioxide::adapter::Adapter;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::{Sid, Socket};
use socketioxide::{AckError, SocketError, SocketIo};

use self::ack::AckValue;
use crate::metrics::Metrics;
use crate::payload::{Failure, Payload};
use crate::sockets::{Connection, gone};

/// The namespace of `request`, in which nothing else is sent.
pub const REQUESTS: &str = "/hitchy";

/// The longest wait for a connection that has just been opened.
const A_MOMENT: Duration = Duration::from_millis(20);

/// Names of events that socket.io reserves.
pub const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// The receivers of an event or an operation.
#[derive(Clone, Debug)]
pub struct Audience {
    /// `/` or a declared namespace.
    pub namespace: String,
    /// Sockets in any of these; none means all.
    pub rooms: Vec<String>,
    /// But not those in any of these.
    pub excluding: Vec<String>,
    /// True for only sockets that are connected to this server.
    pub this_node_only: bool,
    /// May be left out for a client that is not keeping up.
    pub droppable: bool,
}

impl Audience {
    /// Returns the audience of everyone in a namespace.
    pub fn everyone(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            rooms: Vec::new(),
            excluding: Vec::new(),
            this_node_only: false,
            droppable: false,
        }
    }
}

/// The acks of many sockets, by their ids.
pub type Acks = Vec<(String, Result<Payload, Failure>)>;

/// Sends to clients. Cheap to clone.
#[derive(Clone)]
pub struct Emitter {
    outlet: Arc<dyn Outlet>,
    metrics: Arc<Metrics>,
}

impl Emitter {
    /// Sends through a socket.io server, and counts in `metrics`.
    pub fn new<A: Adapter>(io: SocketIo<A>, metrics: Arc<Metrics>) -> Self {
        Self {
            outlet: Arc::new(io),
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
        self.outlet.emit(audience, event, payload).await
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
        self.outlet
            .emit_with_ack(audience, event, payload, timeout)
            .await
    }

    /// Makes an audience enter rooms.
    pub async fn join(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        self.outlet.join(audience, rooms).await
    }

    /// Makes an audience leave rooms.
    pub async fn leave(&self, audience: Audience, rooms: Vec<String>) -> Result<(), Failure> {
        self.outlet.leave(audience, rooms).await
    }

    /// Disconnects an audience from its namespace; with `close` from every namespace.
    pub async fn disconnect(&self, audience: Audience, close: bool) -> Result<(), Failure> {
        self.outlet.disconnect(audience, close).await
    }

    /// Returns the connection of this id, if it is connected here.
    ///
    /// The library sends CONNECT a moment before it lets anything else be sent, and a client may be faster than that
    /// moment. So a connection that has just been opened is waited for.
    pub async fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>> {
        let connection = self.outlet.find(namespace, id)?;
        connection.wait_until_answered(A_MOMENT).await;
        (!connection.is_gone()).then_some(connection)
    }

    /// Returns the ids of an audience.
    pub async fn ids(&self, audience: Audience) -> Result<Vec<String>, Failure> {
        self.outlet.ids(audience).await
    }
}

/// Refuses names that socket.io reserves.
fn check_event(event: &str) -> Result<(), Failure> {
    if RESERVED.contains(&event) {
        return Err(Failure::new(
            400,
            format!("the event name {event:?} is reserved by socket.io"),
        ));
    }
    Ok(())
}

/// The operations of [`Emitter`] for one type of adapter.
trait Outlet: Send + Sync {
    fn emit<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<(), Failure>>;
    fn emit_with_ack<'a>(
        &'a self,
        audience: Audience,
        event: &'a str,
        payload: &'a Payload,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Acks, Failure>>;
    fn join(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>>;
    fn leave(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>>;
    fn disconnect(&self, audience: Audience, close: bool) -> BoxFuture<'_, Result<(), Failure>>;
    fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>>;
    fn ids(&self, audience: Audience) -> BoxFuture<'_, Result<Vec<String>, Failure>>;
}

impl<A: Adapter> Outlet for SocketIo<A> {
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
    ) -> BoxFuture<'a, Result<Acks, Failure>> {
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
            Ok(acks.collect().await)
        })
    }

    fn join(&self, audience: Audience, rooms: Vec<String>) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            let operators = select(self, audience)?;
            for socket in operators.clone().sockets() {
                if let Some(connection) = connection(&socket) {
                    connection.check_join(&rooms)?;
                }
            }
            let joined = operators.join(rooms).await;
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
            // Those of other nodes.
            let disconnected = operators.disconnect().await;
            disconnected.or_else(|error| match error {
                socketioxide::BroadcastError::Socket(_) => Ok(()),
                other => Err(unreachable_nodes(&other)),
            })
        })
    }

    fn find(&self, namespace: &str, id: &str) -> Option<Arc<Connection>> {
        let socket = self.of(namespace)?.get_socket(id.parse().ok()?)?;
        connection(&socket).filter(|connection| !connection.is_gone())
    }

    fn ids(&self, audience: Audience) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(async move {
            let operators = select(self, audience)?;
            let sockets = operators.clone().fetch_sockets().await;
            let sockets = sockets.map_err(|error| unreachable_nodes(&error))?;
            let ids = sockets.into_iter().map(|socket| socket.into_data().id);
            // The library forgets a socket a moment after it has gone.
            let is_here = |id: &Sid| {
                let socket = operators.get_socket(*id);
                let connection = socket.and_then(|socket| connection(&socket));
                connection.is_none_or(|connection| !connection.is_gone())
            };
            Ok(ids.filter(is_here).map(|id| id.to_string()).collect())
        })
    }
}

/// The sockets of an audience, as the library selects them.
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

/// Refuses the namespace in which requests are answered.
fn check_namespace(namespace: &str) -> Result<(), Failure> {
    if namespace == REQUESTS || namespace.starts_with("/hitchy/") {
        return Err(Failure::new(
            403,
            "nothing can be sent to the namespace /hitchy; it answers requests only",
        ));
    }
    Ok(())
}

fn unreachable_nodes(error: &impl std::fmt::Display) -> Failure {
    Failure::new(503, format!("other nodes were not reached: {error}"))
}

/// Returns the connection that belongs to a socket of the library.
fn connection<A: Adapter>(socket: &Socket<A>) -> Option<Arc<Connection>> {
    socket.extensions.get::<Arc<Connection>>()
}

/// Disconnects a socket from its namespace.
fn disconnect<A: Adapter>(socket: SocketRef<A>) {
    let connection = connection(&socket);
    if let Some(connection) = &connection {
        connection.dismiss();
    }
    // The client of one whose send buffer is full cannot be told.
    if let (Err(SocketError::InternalChannelFull), Some(connection)) =
        (socket.disconnect(), connection)
    {
        connection
            .session
            .end_slow_reader("it cannot be told that it is disconnected");
    }
}

/// A client's id is the same in every namespace. The official client then closes the connection by itself.
fn disconnect_everywhere<A: Adapter>(io: &SocketIo<A>, id: Sid) {
    for namespace in io.nsps() {
        if let Some(socket) = namespace.get_socket(id) {
            if let Some(connection) = connection(&socket) {
                connection.session.end_soon();
            }
            disconnect(socket);
        }
    }
}

fn not_keeping_up() -> Failure {
    Failure::new(503, "the client is not keeping up with what is sent to it")
}

fn ack_failure(error: AckError) -> Failure {
    match error {
        AckError::Timeout => Failure::new(504, "the client did not answer in time"),
        AckError::Socket(SocketError::InternalChannelFull) => not_keeping_up(),
        AckError::Socket(SocketError::Closed) => gone(),
        AckError::Decode(error) => Failure::new(
            400,
            format!("the client's answer is no JSON array: {error}"),
        ),
    }
}
