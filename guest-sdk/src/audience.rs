//! Whom an emit reaches: a namespace, rooms of it, and who is left out.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Failure, Result};
use crate::host::{self, milliseconds, sockets};
use crate::payload::{self, Payload};

/// The sockets that something reaches: everyone in a namespace, or who is in any of some rooms, but not who is in any of others.
/// A socket's id is a room of its own.
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

    /// Those in this room, or in any of these; called again, more rooms.
    pub fn to(mut self, rooms: impl IntoRooms) -> Self {
        self.0.rooms.append(&mut rooms.into_rooms());
        self
    }

    /// The same as [`to`](Audience::to).
    pub fn within(self, rooms: impl IntoRooms) -> Self {
        self.to(rooms)
    }

    /// But not those in this room, or in any of these.
    pub fn except(mut self, rooms: impl IntoRooms) -> Self {
        self.0.excluding.append(&mut rooms.into_rooms());
        self
    }

    /// Only sockets connected to this node, when there are several.
    pub fn local(mut self) -> Self {
        self.0.this_node_only = true;
        self
    }

    /// May be left out for a client whose connection is not keeping up.
    pub fn volatile(mut self) -> Self {
        self.0.droppable = true;
        self
    }

    /// Emits. A tuple is several arguments, `()` is none, anything else one.
    ///
    /// # Errors
    /// 400 for a reserved event name, 403 for `/hitchy`, 413 for too much data, 429 for too many emits in one call.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Failure> {
        sockets::emit_to(&self.0, event, &payload::outgoing(data)?).map_err(Failure::from)
    }

    /// Emits arguments as they are.
    ///
    /// # Errors
    /// As [`emit`](Audience::emit), and 400 for arguments that are not well formed.
    pub fn emit_payload(&self, event: &str, arguments: &Payload) -> Result<(), Failure> {
        sockets::emit_to(&self.0, event, &arguments.clone().into()).map_err(Failure::from)
    }

    /// Emits, and waits for everyone's answer: for each socket that was asked its id, and what it answered or why it did not (504 when
    /// not in time, 410 when it went away).
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
    /// The wait counts as part of the call: it ends at the call's deadline, however long the timeout.
    ///
    /// # Errors
    /// As [`emit`](Audience::emit).
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

    /// Makes all of them join a room, or several.
    ///
    /// # Errors
    /// 403 for `/hitchy`, 413 when one of them would be in more than 1,000 rooms: then none joins.
    pub fn join(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        sockets::join(&self.0, &rooms.into_rooms()).map_err(Failure::from)
    }

    /// Makes all of them leave a room, or several.
    ///
    /// # Errors
    /// 403 for `/hitchy`.
    pub fn leave(&self, rooms: impl IntoRooms) -> Result<(), Failure> {
        sockets::leave(&self.0, &rooms.into_rooms()).map_err(Failure::from)
    }

    /// Disconnects all of them from the namespace.
    ///
    /// # Errors
    /// 403 for `/hitchy`.
    pub fn disconnect(&self) -> Result<(), Failure> {
        sockets::disconnect(&self.0, false).map_err(Failure::from)
    }

    /// Disconnects all of them from all namespaces and closes their connections.
    ///
    /// # Errors
    /// 403 for `/hitchy`.
    pub fn close(&self) -> Result<(), Failure> {
        sockets::disconnect(&self.0, true).map_err(Failure::from)
    }

    /// The ids of all of them.
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
    /// When another node did not answer.
    pub fn ids(&self) -> Result<Vec<String>, Failure> {
        sockets::list_ids(&self.0).map_err(Failure::from)
    }
}

/// What each of many clients answered: its id, and its answer or why there is none.
pub type Acks<T> = Vec<(String, Result<T, Failure>)>;

/// A room, or several: a `&str` or `String`, or an array, slice or `Vec` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the name of a room",
    note = "a room is a `&str` or `String`; several are an array, slice or `Vec` of them"
)]
pub trait IntoRooms {
    /// The names.
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
