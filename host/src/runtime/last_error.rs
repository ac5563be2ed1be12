//! The last error that a guest logs in a call, for answers that say why a handler failed.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// The last record of the level `error` that the guest wrote in a call. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    /// Notes a record.
    pub(super) fn note(&self, text: &str) {
        *lock(&self.0) = Some(text.to_owned());
    }

    /// Returns the record, if there is one, and forgets it.
    pub fn take(&self) -> Option<String> {
        lock(&self.0).take()
    }
}
