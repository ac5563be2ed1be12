//! Handles of guests to things of one call: sockets, requests, buckets.
//!
//! A guest that lives longer than a call may keep a handle, and use it in a later call. The numbers behind handles are
//! therefore never used twice in an instance, so that such a handle is recognised and reaches nothing of the later
//! call.
//!
//! The types of handles are `pub` because the generated bindings use them in public items. The module itself is
//! private.

use std::any::Any;
use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};

use crate::message::Exchange;
use crate::payload::Failure;
use crate::sockets::Connection;

/// Resources and handles that a guest may hold, for each table.
pub(in crate::runtime) const MAX_HANDLES: usize = 2000;

/// A guest's handle to a connection.
#[allow(unreachable_pub)]
pub struct SocketHandle(pub(in crate::runtime) Arc<Connection>);

/// A guest's handle to a request.
#[allow(unreachable_pub)]
pub struct RequestHandle {
    pub(in crate::runtime) exchange: Arc<Exchange>,
    /// The parameters of the route's pattern, decoded.
    pub(in crate::runtime) params: Arc<[(String, String)]>,
}

/// A guest's handle to the registrar. Declarations are kept in the call's notes, because the guest may drop the handle.
#[allow(unreachable_pub)]
pub struct RegistrarHandle;

/// A type of things that guests hold by handles.
pub(in crate::runtime) trait Held: Any + Send {
    /// The thing with its article, and what an author does instead of keeping the handle, for sentences.
    const WORDS: (&'static str, &'static str);
}

impl Held for SocketHandle {
    const WORDS: (&'static str, &'static str) = (
        "a socket",
        "keep the id of the socket, and find it by its id",
    );
}

impl Held for RequestHandle {
    const WORDS: (&'static str, &'static str) = ("a request", "keep what was read from it");
}

impl Held for RegistrarHandle {
    const WORDS: (&'static str, &'static str) = ("the registrar", "declare in describe only");
}

/// The error of a guest that uses a handle of an earlier call.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{what} of an earlier call was used, and a handle lasts for one call; {remedy}")]
pub(in crate::runtime) struct StaleHandle {
    what: &'static str,
    remedy: &'static str,
}

impl StaleHandle {
    fn of<T: Held>() -> Self {
        let (what, remedy) = T::WORDS;
        Self { what, remedy }
    }
}

impl From<StaleHandle> for Failure {
    fn from(error: StaleHandle) -> Self {
        Self::new(410, error.to_string())
    }
}

/// The things that a guest holds in the call that runs.
pub(in crate::runtime) struct Handles {
    table: ResourceTable,
    /// The number of the first handle of the call. Smaller numbers belong to earlier calls.
    base: u32,
    /// Places of the table that the call has used at least once.
    used: u32,
    /// Handles of the call that the guest has not dropped.
    held: usize,
    /// Handles of earlier calls that the guest has not dropped.
    left: usize,
}

impl Handles {
    /// Makes the handles of the first call of an instance.
    pub(super) fn new() -> Self {
        Self {
            table: bounded_table(),
            base: 0,
            used: 0,
            held: 0,
            left: 0,
        }
    }

    /// Ends the call: drops what its handles stand for. Numbers of the next call begin behind those of this one.
    pub(super) fn end_call(&mut self) {
        // A table whose things were all taken back has free places only, and is used again.
        if self.held > 0 {
            self.table = bounded_table();
        }
        self.base = self.base.saturating_add(self.used);
        self.left += self.held;
        (self.used, self.held) = (0, 0);
    }

    /// Returns the number of handles of earlier calls that the guest still holds.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Returns true if the numbers suffice for another call.
    pub(super) fn suffice(&self) -> bool {
        self.base < u32::MAX - 2 * MAX_HANDLES as u32
    }

    /// Hands a thing out.
    ///
    /// # Errors
    /// The guest holds as many things as it may.
    pub(in crate::runtime) fn push<T: Held>(&mut self, thing: T) -> wasmtime::Result<Resource<T>> {
        let place = self.table.push(thing)?.rep();
        self.used = self.used.max(place + 1);
        self.held += 1;
        Ok(Resource::new_own(self.base + place))
    }

    /// Returns the thing of a handle. The inner error is a handle of an earlier call, the outer one a handle that was
    /// never handed out, which the engine prevents.
    pub(in crate::runtime) fn get<T: Held>(
        &self,
        handle: &Resource<T>,
    ) -> wasmtime::Result<Result<&T, StaleHandle>> {
        let Some(place) = handle.rep().checked_sub(self.base) else {
            return Ok(Err(StaleHandle::of::<T>()));
        };
        Ok(Ok(self.table.get(&Resource::<T>::new_borrow(place))?))
    }

    /// Takes the thing of a handle back. A handle of an earlier call has none any more.
    pub(in crate::runtime) fn delete<T: Held>(
        &mut self,
        handle: &Resource<T>,
    ) -> wasmtime::Result<Result<T, StaleHandle>> {
        let Some(place) = handle.rep().checked_sub(self.base) else {
            self.left = self.left.saturating_sub(1);
            return Ok(Err(StaleHandle::of::<T>()));
        };
        let thing = self.table.delete(Resource::<T>::new_own(place))?;
        self.held -= 1;
        Ok(Ok(thing))
    }
}

/// Makes a table for at most [`MAX_HANDLES`] resources.
pub(super) fn bounded_table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u32);

    impl Held for Thing {
        const WORDS: (&'static str, &'static str) = ("a thing", "keep none");
    }

    #[test]
    fn d04_a_handle_of_an_earlier_call_reaches_nothing_of_a_later_one() {
        let mut handles = Handles::new();
        let old = handles.push(Thing(1)).unwrap();
        assert_eq!(handles.get(&old).unwrap().unwrap().0, 1);
        handles.end_call();
        let new = handles.push(Thing(2)).unwrap();
        assert!(handles.get(&old).unwrap().is_err());
        assert_eq!(handles.get(&new).unwrap().unwrap().0, 2);
        assert_eq!(handles.left(), 1);
        assert!(handles.delete(&old).unwrap().is_err());
        assert_eq!(handles.left(), 0);
        assert_eq!(handles.delete(&new).unwrap().unwrap().0, 2);
        handles.end_call();
        assert_eq!(handles.left(), 0);
    }

    #[test]
    fn d04_numbers_are_used_again_within_a_call_only() {
        let mut handles = Handles::new();
        for _ in 0..100_000 {
            let one = handles.push(Thing(0)).unwrap();
            assert_eq!(one.rep(), 0);
            assert!(handles.delete(&one).unwrap().is_ok());
        }
        handles.end_call();
        assert_eq!(handles.push(Thing(0)).unwrap().rep(), 1);
        assert_eq!(handles.push(Thing(0)).unwrap().rep(), 2);
        handles.end_call();
        assert_eq!(handles.push(Thing(0)).unwrap().rep(), 3);
        assert!(handles.suffice());
        handles.base = u32::MAX - 2 * MAX_HANDLES as u32;
        assert!(!handles.suffice());
    }

    #[test]
    fn g14_handles_are_bounded() {
        let mut handles = Handles::new();
        for _ in 0..MAX_HANDLES {
            handles.push(Thing(0)).unwrap();
        }
        assert!(handles.push(Thing(0)).is_err());
    }
}
