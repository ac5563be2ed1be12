//! A fresh instance for every call: nothing that a call leaves behind can be seen by another. This is the default.

use super::lease::{Lease, Owner, Strategy};

/// Makes an instance for each call.
pub(super) struct Fresh;

impl Strategy for Fresh {
    fn check_out(&self, _owner: Owner<'_>) -> Lease {
        Lease::fresh()
    }
}
