//! The counters of a node that is one of several.

use crate::metrics::Count;

/// The counters of a node that is one of several.
#[derive(Debug, Default)]
pub struct ClusterCounters {
    /// Connections to Redis that were lost.
    pub reconnects: Count,
}
