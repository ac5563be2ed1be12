//! Reads the folder once, as the start of a server reads it, for `hitchy routes`.

use std::sync::Arc;

use super::reload::Reloader;
use super::status::Status;
use super::table::Table;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;

/// The result of reading the folder once.
pub struct DryRun {
    /// The table that would be served.
    pub table: Table,
    /// The files that would not be served, and why.
    pub status: Status,
}

/// Reads the folder as the start of a server would.
pub async fn dry_run(runtime: Arc<Runtime>, config: Config, sources: Sources) -> DryRun {
    let mut reloader = Reloader::new(Arc::clone(&runtime), config, sources, Arc::default());
    let table = reloader.first(&|_| {}).await;
    let status = reloader.status();
    runtime.finish_storing().await;
    DryRun { table, status }
}
