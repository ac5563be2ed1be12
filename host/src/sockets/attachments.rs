//! Things that others keep with a connection, and that end with it.

use std::any::Any;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// A thing that belongs to a connection.
pub trait Attachment: Any + Send + Sync {
    /// Ends what belongs to the connection, because the connection has ended. May be called more than once.
    fn end(&self);
    /// Returns true if nothing will ask for the thing any more, so that the connection may drop it.
    fn is_obsolete(&self) -> bool;
}

/// The things that belong to one connection. There are few, so that a list is fast enough.
#[derive(Default)]
pub struct Attachments(Mutex<Attached>);

#[derive(Default)]
struct Attached {
    list: Vec<(usize, Arc<dyn Attachment>)>,
    /// True once the connection has ended.
    ended: bool,
}

impl Attachments {
    /// Returns the thing of a key, which nobody else uses for a thing of another type. `make` makes it if there is
    /// none.
    ///
    /// After the connection has ended, the thing is made anew each time, and has ended already.
    pub fn get<T: Attachment>(&self, key: usize, make: impl FnOnce() -> T) -> Arc<T> {
        let mut attached = lock(&self.0);
        let known = attached.list.iter().find(|(known, _)| *known == key);
        if let Some((_, thing)) = known {
            let any: Arc<dyn Any + Send + Sync> = Arc::clone(thing) as _;
            if let Ok(thing) = any.downcast() {
                return thing;
            }
        }
        let thing = Arc::new(make());
        if attached.ended {
            drop(attached);
            thing.end();
            return thing;
        }
        let (kept, obsolete) = std::mem::take(&mut attached.list)
            .into_iter()
            .partition(|(_, known)| !known.is_obsolete());
        attached.list = kept;
        attached.list.push((key, Arc::clone(&thing) as _));
        drop(attached);
        // Things are dropped without the lock, because that may take some time.
        drop::<Vec<_>>(obsolete);
        thing
    }

    /// Ends all things, because the connection has ended.
    pub fn end(&self) {
        let things = {
            let mut attached = lock(&self.0);
            attached.ended = true;
            std::mem::take(&mut attached.list)
        };
        for (_, thing) in things {
            thing.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Thing {
        ended: AtomicBool,
        obsolete: AtomicBool,
    }

    impl Attachment for Thing {
        fn end(&self) {
            self.ended.store(true, Ordering::SeqCst);
        }

        fn is_obsolete(&self) -> bool {
            self.obsolete.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn d02_a_thing_lasts_until_the_connection_ends() {
        let all = Attachments::default();
        let first = all.get(1, Thing::default);
        assert!(Arc::ptr_eq(&first, &all.get(1, Thing::default)));
        assert!(!Arc::ptr_eq(&first, &all.get(2, Thing::default)));
        all.end();
        assert!(first.ended.load(Ordering::SeqCst));
        let late = all.get(1, Thing::default);
        assert!(!Arc::ptr_eq(&first, &late));
        assert!(late.ended.load(Ordering::SeqCst));
    }

    #[test]
    fn d02_what_is_obsolete_goes_when_something_comes() {
        let all = Attachments::default();
        let first = Arc::downgrade(&all.get(1, Thing::default));
        let known = first.upgrade().unwrap();
        known.obsolete.store(true, Ordering::SeqCst);
        drop(known);
        all.get(2, Thing::default);
        assert!(first.upgrade().is_none());
    }
}
