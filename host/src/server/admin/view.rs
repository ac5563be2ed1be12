//! The input and the output of the console's pages.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;

use super::vitals::Vitals;
use crate::cluster::Cluster;
use crate::dispatch::Dispatch;
use crate::kv::Store;
use crate::registry::Registry;
use crate::runtime::Runtime;
use crate::server::scheduler::ScheduleList;
use crate::session::Sessions;
use crate::sockets::SocketCounts;

/// The parts of the server that the pages of the console read.
pub(in crate::server) struct View {
    pub(in crate::server) registry: Arc<Registry>,
    pub(in crate::server) dispatch: Arc<Dispatch>,
    pub(in crate::server) sessions: Arc<Sessions>,
    pub(in crate::server) counts: Arc<SocketCounts>,
    pub(in crate::server) schedules: Arc<ScheduleList>,
    pub(in crate::server) runtime: Arc<Runtime>,
    pub(in crate::server) vitals: Vitals,
    /// The other nodes, if this node is one of several.
    pub(in crate::server) cluster: Option<Arc<Cluster>>,
    pub(in crate::server) store: Arc<dyn Store>,
    /// The folder of the store.
    pub(in crate::server) store_folder: PathBuf,
}

/// The content of a page.
pub(super) struct Shown {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Shown {
    /// Serialises `body` as a page with status 200.
    pub(super) fn json(body: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "application/json; charset=utf-8",
            // Serialising cannot fail, because pages consist of text, numbers, lists and maps with text keys.
            body: serde_json::to_string(body).unwrap_or_default(),
        }
    }

    /// Sets the status to 503 if `is_ok` is false.
    pub(super) fn unavailable_unless(mut self, is_ok: bool) -> Self {
        if !is_ok {
            self.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        self
    }
}
