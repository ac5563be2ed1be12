//! Who is here now: follows the handlers folder and keeps one table of what is served, swapped whole.
//!
//! Start-up is the first reload. What is refused leaves the old code serving; calls under way keep the table they began with.

mod builds;
mod examine;
mod files;
mod folder;
mod journal;
mod pass;
mod standing;
mod survey;
mod table;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::builds::{Build, Builds};
pub use self::examine::{Examined, examine};
pub use self::journal::{Journal, Reload, What};
pub use self::standing::{RefusedFile, Standing};
pub use self::survey::{Survey, survey};
pub use self::table::{Conflict, Entry, Matched, Table};

use self::pass::Reloads;
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
    standing: ArcSwap<Standing>,
    journal: Arc<Journal>,
}

impl Registry {
    /// An empty registry: nothing is answered until [`Registry::follow`] has read the folder.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            table: ArcSwap::default(),
            builds: Builds::default(),
            ready: watch::Sender::new(false),
            standing: ArcSwap::default(),
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
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
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
        let mut reloads = Reloads::new(runtime, config, sources, Arc::clone(&self.journal));
        let publish = |table: Table| {
            for namespace in table.namespaces() {
                open_namespace(namespace);
            }
            self.table.store(Arc::new(table));
            self.ready.send_replace(true);
        };
        let first = reloads.first().await;
        self.standing.store(Arc::new(reloads.standing()));
        publish(first);
        reloads.report(&self.builds);
        let Some(mut watch) = watch else {
            return std::future::pending().await;
        };
        loop {
            reloads.wait(&mut watch).await;
            let table = reloads.pass().await;
            self.standing.store(Arc::new(reloads.standing()));
            if let Some(table) = table {
                publish(table);
            }
            reloads.report(&self.builds);
        }
    }
}
