//! Follows the handlers folder, and keeps one table of the handlers that are served, which is replaced as a unit.
//!
//! The start is the first reload. A file that is refused leaves the old code serving. Calls keep the table with which
//! they began.

mod answer_sizes;
mod arrivals;
mod builds;
mod calls;
mod check_file;
mod checks;
mod conflicts;
mod dry_run;
mod endpoint;
mod entry;
mod files;
mod folder;
mod growth;
mod journal;
mod listing;
mod problems;
mod refusal;
mod reload;
mod rows;
mod served;
mod status;
mod table;
mod twins;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::answer_sizes::AnswerSizes;
pub use self::builds::{Build, Builds};
pub use self::calls::{Calls, Ended, LastFailure, Times};
pub use self::check_file::{CheckedFile, check_file};
pub use self::conflicts::Conflict;
pub use self::dry_run::{DryRun, dry_run};
pub use self::entry::Entry;
pub use self::journal::{Journal, Reload, What};
pub use self::listing::scripts;
pub use self::refusal::FileRefusal;
pub use self::rows::{HandlerRow, KindRows, rows_of};
pub use self::served::Served;
pub use self::status::{RefusedFile, Status};
pub use self::table::{Matched, Table};

use self::reload::Reloader;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;
use crate::watch::Watch;

/// Called with each namespace of a table before the table is served, so that clients can connect to it.
pub type OpenNamespace = Box<dyn Fn(&str) + Send + Sync>;

/// The table that is served, with the status of the folder and the journal of reloads.
pub struct Registry {
    table: ArcSwap<Table>,
    builds: Builds,
    ready: watch::Sender<bool>,
    status: ArcSwap<Status>,
    journal: Arc<Journal>,
}

impl Registry {
    /// Makes an empty registry. Nothing is answered until [`Registry::follow`] has read the folder.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
            builds: Builds::default(),
            ready: watch::Sender::new(false),
            status: ArcSwap::default(),
            journal: Arc::default(),
        })
    }

    /// Returns the table as it is now. A call keeps the one with which it began.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Returns the place where builds of files are announced, to be logged with their reload.
    pub fn builds(&self) -> &Builds {
        &self.builds
    }

    /// Returns what is wrong now.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Returns the journal of reloads.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns when the folder has been read for the first time.
    pub async fn ready(&self) {
        // The sender lives as long as the registry.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Returns a receiver that is told each time a table has been put in service. Its value is true once the folder has
    /// been read.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Reads the folder, then follows its changes and those of the settings. The future ends only when it is dropped.
    pub async fn follow(
        &self,
        runtime: Arc<Runtime>,
        config: Config,
        sources: Sources,
        open_namespace: OpenNamespace,
    ) {
        let handlers = config.handlers.clone();
        let watch = handlers.watch.then(|| {
            Watch::new(
                handlers.dir.clone(),
                sources.settings_file(),
                handlers.rescan,
            )
        });
        let mut reloader = Reloader::new(runtime, config, sources, Arc::clone(&self.journal));
        let open_all = |table: &Table| {
            for namespace in table.namespaces() {
                open_namespace(namespace);
            }
        };
        let publish = |table: Table| {
            open_all(&table);
            let table = Arc::new(table);
            let before = self.table.swap(Arc::clone(&table));
            for handler in &before.handlers {
                if !table.handlers.iter().any(|kept| Arc::ptr_eq(kept, handler)) {
                    handler.retire();
                }
            }
            self.ready.send_replace(true);
        };
        let grow = |table: Table| {
            // Handlers emit to them. Clients are refused until the table is complete.
            open_all(&table);
            self.table.store(Arc::new(table));
        };
        let first = reloader.first(&grow).await;
        self.status.store(Arc::new(reloader.status()));
        publish(first);
        reloader.report(&self.builds);
        let Some(mut watch) = watch else {
            return std::future::pending().await;
        };
        loop {
            reloader.wait(&mut watch).await;
            let table = reloader.reload().await;
            self.status.store(Arc::new(reloader.status()));
            if let Some(table) = table {
                publish(table);
            }
            reloader.report(&self.builds);
        }
    }
}
