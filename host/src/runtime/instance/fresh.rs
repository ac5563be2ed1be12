//! The strategy of fresh instances, which is the default: no call sees what an earlier call left in memory.

use super::lease::{Lease, Owner, Strategy};

/// Makes a new instance for each call.
pub(super) struct Fresh;

impl Strategy for Fresh {
    fn check_out(&self, _owner: Owner<'_>) -> Lease {
        Lease::fresh()
    }
}
