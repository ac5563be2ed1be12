//! The folder read once, as a server's start reads it, for whoever wants to know what would be served.

use std::sync::Arc;

use super::pass::Reloads;
use super::standing::Standing;
use super::table::Table;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;

/// What would be served, and what not.
pub struct Survey {
    /// What would be served.
    pub table: Table,
    /// What would not.
    pub standing: Standing,
}

/// Reads the folder once.
pub async fn survey(runtime: Arc<Runtime>, config: Config, sources: Sources) -> Survey {
    let mut reloads = Reloads::new(runtime, config, sources, Arc::default());
    let table = reloads.first().await;
    let standing = reloads.standing();
    Survey { table, standing }
}
