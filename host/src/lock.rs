//! Locks that a panic elsewhere does not close for ever.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic leaves the values of this crate whole: none of the critical sections can stop half way.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
