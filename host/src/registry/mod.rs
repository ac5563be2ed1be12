//! Who is here now: follows the handlers folder and keeps one table of what is served, swapped whole.
//!
//! Start-up is the first reload. What is refused leaves the old code serving; calls under way keep the table they began with.

mod arrivals;
mod builds;
mod calls;
mod check_file;
mod conflicts;
mod dry_run;
mod files;
mod folder;
mod journal;
mod problems;
mod refusal;
mod reload;
mod rows;
mod served;
mod status;
mod table;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::builds::{Build, Builds};
pub use self::calls::{Calls, Ended, LastFailure, Times};
pub use self::check_file::{CheckedFile, check_file};
pub use self::conflicts::Conflict;
pub use self::dry_run::{DryRun, dry_run};
pub use self::journal::{Journal, Reload, What};
pub use self::refusal::FileRefusal;
pub use self::rows::{HandlerRow, KindRows, rows_of};
pub use self::served::Served;
pub use self::status::{RefusedFile, Status};
pub use self::table::{Entry, Matched, Table};

use self::reload::Reloader;
use crate::config::{Config, Sources};
use crate::runtime::Runtime;
use crate::watch::Watch;

/// Called with each namespace of a table before the table is served, so that clients can connect to it.
pub type OpenNamespace = Box<dyn Fn(&str) + Send + Sync>;

/// The table that is served, and whoever changes it.
pub struct Registry {
    table: ArcSwap<Table>,
    builds: Builds,
    ready: watch::Sender<bool>,
    status: ArcSwap<Status>,
    journal: Arc<Journal>,
}

impl Registry {
    /// An empty registry: nothing is answered until [`Registry::follow`] has read the folder.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
            builds: Builds::default(),
            ready: watch::Sender::new(false),
            status: ArcSwap::default(),
            journal: Arc::default(),
        })
    }

    /// The table as it is now. A call keeps the one it began with.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Where builds of files are announced, to be told with the line of their reload.
    pub fn builds(&self) -> &Builds {
        &self.builds
    }

    /// What is not as it should be.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// What became of files.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns when the folder has been read for the first time.
    pub async fn ready(&self) {
        // The sender lives as long as the registry.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Reads the folder, then follows its changes and those of the settings. Ends only when it is dropped.
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
        let publish = |table: Table| {
            for namespace in table.namespaces() {
                open_namespace(namespace);
            }
            self.table.store(Arc::new(table));
            self.ready.send_replace(true);
        };
        let first = reloader.first().await;
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
