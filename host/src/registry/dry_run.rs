//! The folder read once, as a server's start reads it, for whoever wants to know what would be served.

use std::sync::Arc;

use super::reload::Reloader;
use super::status::Status;
use super::table::Table;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;

/// What would be served, and what not.
pub struct DryRun {
    /// What would be served.
    pub table: Table,
    /// What would not.
    pub status: Status,
}

/// Reads the folder once.
pub async fn dry_run(runtime: Arc<Runtime>, config: Config, sources: Sources) -> DryRun {
    let mut reloader = Reloader::new(runtime, config, sources, Arc::default());
    let table = reloader.first().await;
    let status = reloader.status();
    DryRun { table, status }
}
