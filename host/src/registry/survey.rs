//! The folder read once, as a server's start reads it, for whoever wants to know what would be served.

use std::sync::Arc;

use super::pass::Reloads;
use super::table::Table;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;

/// What would be served, and what not.
pub struct Survey {
    /// What would be served.
    pub table: Table,
    /// What would not, by name.
    pub refusals: Vec<Refusal>,
}

/// A file, or a folder inside, that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Below the handlers folder.
    pub name: String,
    /// The sentence of the log.
    pub cause: String,
}

/// Reads the folder once.
///
/// # Errors
/// Why the folder itself cannot be read.
pub async fn survey(
    runtime: Arc<Runtime>,
    config: Config,
    sources: Sources,
) -> Result<Survey, String> {
    let mut reloads = Reloads::new(runtime, config, sources);
    let table = reloads.first().await;
    let refusals = reloads.refusals()?;
    Ok(Survey { table, refusals })
}
