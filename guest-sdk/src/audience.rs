//! The sockets that an emit reaches: a namespace, narrowed by rooms to include and rooms to exclude.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::host::{self, milliseconds, sockets};
use crate::payload::{self, Payload};

/// A set of sockets to emit to: all sockets of a namespace, or those in at least one of some rooms, without those in
/// excluded rooms.
///
/// The id of a socket is also the name of a room that contains only this socket.
///
/// ```
/// use hitchy_guest::{Result, of, to};
///
/// fn announce() -> Result<()> {
///     to("general").except("muted").emit("news", &"hello")?;
///     of("/admin").volatile().emit("load", &0.7)?;
///     to(["general", "random"]).join("everyone")?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an audience reaches nobody until something is emitted to it"]
pub struct Audience(host::Audience);

impl Audience {
    pub(crate) fn of(namespace: impl Into<String>) -> Self {
        Audience(host::Audience {
            namespace: namespace.into(),
            rooms: Vec::new(),
            excluding: Vec::new(),
            this_node_only: false,
            droppable: false,
        })
    }

    /// Adds a room, or several. The audience is then every socket that is in at least one of the added rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.0.rooms.append(&mut rooms.into_rooms());
        self
    }

    /// Adds a room, or several. This is another name for [`to`](Audience::to).
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// Excludes the sockets that are in this room, or in at least one of these rooms.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.0.excluding.append(&mut rooms.into_rooms());
        self
    }

    /// Limits the audience to sockets connected to this node. It makes a difference only when there are several nodes.
    pub fn local(mut self) -> Self {
        self.0.this_node_only = true;
        self
    }

    /// Allows the server to leave out clients whose connection is not keeping up.
    pub fn volatile(mut self) -> Self {
        self.0.droppable = true;
        self
    }

    /// Emits an event to every socket of the audience.
    ///
    /// A tuple is sent as several arguments, `()` as none, and any other value as one.
    ///
    /// # Errors
    /// Returns 400 for a reserved event name, 403 for the namespace `/hitchy`, 413 when there is too much data, and 429
    /// after too many emits in one call.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Failure> {
        sockets::emit_to(&self.0, event, &payload::outgoing(data)?).map_err(Failure::from)
    }

    /// Emits an event with arguments that are already encoded.
    ///
    /// # Errors
    /// Returns the errors of [`emit`](Audience::emit), and 400 for arguments that are not well formed.
    pub fn emit_payload(&self, event: &str, arguments: &Payload) -> Result<(), Failure> {
        sockets::emit_to(&self.0, event, &arguments.clone().into()).map_err(Failure::from)
    }

    /// Emits an event to every socket of the audience and waits for their acks.
    ///
    /// Returns one entry for each socket that was asked: its id, and its ack or the failure. The failure is 504 when
    /// the ack did not arrive in time, and 410 when the client disconnected. With several nodes, one that does not answer
    /// is an entry with an empty id.
    ///
    /// ```
    /// use std::time::Duration;
    /// use hitchy_guest::{Result, to};
    ///
    /// fn ready() -> Result<usize> {
    ///     let votes = to("players").emit_with_ack::<bool>("ready?", &(), Duration::from_secs(3))?;
    ///     Ok(votes.iter().filter(|(_id, vote)| matches!(vote, Ok(true))).count())
    /// }
    /// ```
    ///
    /// The wait counts as part of the call. It ends at the call's deadline, even if the timeout is longer.
    ///
    /// # Errors
    /// Returns the errors of [`emit`](Audience::emit).
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        data: &(impl Serialize + ?Sized),
        timeout: Duration,
    ) -> Result<Acks<T>, Failure> {
        let acks = sockets::emit_to_with_ack(
            &self.0,
            event,
            &payload::outgoing(data)?,
            milliseconds(timeout),
        )?;
        let read = |ack: Result<_, _>| Payload::from(ack.map_err(Failure::from)?).data();
        Ok(acks.into_iter().map(|(id, ack)| (id, read(ack))).collect())
    }

    /// Makes every socket of the audience join a room, or several.
    ///
    /// # Errors
    /// Returns 403 for the namespace `/hitchy`, and 413 when one of the sockets would be in more than 1,000 rooms. No
    /// socket joins in that case.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        sockets::join(&self.0, &rooms.into_rooms()).map_err(Failure::from)
    }

    /// Makes every socket of the audience leave a room, or several.
    ///
    /// # Errors
    /// Returns 403 for the namespace `/hitchy`.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        sockets::leave(&self.0, &rooms.into_rooms()).map_err(Failure::from)
    }

    /// Disconnects every socket of the audience from the namespace.
    ///
    /// # Errors
    /// Returns 403 for the namespace `/hitchy`.
    pub fn disconnect(&self) -> Result<(), Failure> {
        sockets::disconnect(&self.0, false).map_err(Failure::from)
    }

    /// Disconnects every client of the audience from all namespaces and closes its connection.
    ///
    /// # Errors
    /// Returns 403 for the namespace `/hitchy`.
    pub fn close(&self) -> Result<(), Failure> {
        sockets::disconnect(&self.0, true).map_err(Failure::from)
    }

    /// Returns the ids of the sockets in the audience.
    ///
    /// ```
    /// use hitchy_guest::{Result, of};
    ///
    /// fn online() -> Result<usize> {
    ///     Ok(of("/chat").to("general").ids()?.len())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails when another node did not answer.
    pub fn ids(&self) -> Result<Vec<String>, Failure> {
        sockets::list_ids(&self.0).map_err(Failure::from)
    }

    /// Returns the value of a context's key for each socket of the audience on this node that has the key.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use hitchy_guest::{Result, to};
    ///
    /// /// The names of the people in a room, each once, also if somebody has several tabs open.
    /// fn people(room: &str) -> Result<BTreeSet<String>> {
    ///     Ok(to(room).values("name")?.into_iter().collect())
    /// }
    /// # use hitchy_guest::testing;
    /// # testing::client().room("general").context("name", "Ada").connect();
    /// # testing::client().room("general").connect();
    /// # assert_eq!(people("general").unwrap().len(), 1);
    /// ```
    ///
    /// # Errors
    /// Fails with an internal error when a value does not fit `T`.
    pub fn values<T: DeserializeOwned>(&self, key: &str) -> Result<Vec<T>> {
        let ids = self.ids()?;
        let found = ids
            .iter()
            .filter_map(|id| sockets::find(&self.0.namespace, id));
        let contexts = found.map(|socket| Context::of_socket(Rc::new(socket)));
        contexts
            .filter_map(|context| context.get(key).transpose())
            .collect()
    }
}

/// Acks of several clients: for each client its socket's id, and its ack or the reason why there is none.
pub type Acks<T> = Vec<(String, Result<T, Failure>)>;

/// A type that names one room or several: a `&str` or `String`, or an array, slice or `Vec` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the name of a room",
    note = "a room is a `&str` or `String`; several are an array, slice or `Vec` of them"
)]
pub trait IntoRooms {
    /// Returns the names of the rooms.
    fn into_rooms(self) -> Vec<String>;
}

impl IntoRooms for &str {
    fn into_rooms(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoRooms for String {
    fn into_rooms(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoRooms for &String {
    fn into_rooms(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<S: Into<String>, const N: usize> IntoRooms for [S; N] {
    fn into_rooms(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: Into<String>> IntoRooms for Vec<S> {
    fn into_rooms(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: AsRef<str>> IntoRooms for &[S] {
    fn into_rooms(self) -> Vec<String> {
        self.iter().map(|room| room.as_ref().to_owned()).collect()
    }
}

impl<S: AsRef<str>> IntoRooms for &Vec<S> {
    fn into_rooms(self) -> Vec<String> {
        self.as_slice().into_rooms()
    }
}
