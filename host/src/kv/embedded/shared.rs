//! What the writer and the readers of a store share.

use std::sync::{Arc, Mutex};

use super::open::{FILE, Opened};
use super::settings::StoreSettings;
use crate::kv::counters::Counters;
use crate::kv::types::Health;
use crate::lock::lock;

/// The file of a store.
#[derive(Clone)]
pub(super) enum Slot {
    /// Nothing has been written, and there is no file.
    Unmade,
    /// The file is open.
    Open(Arc<Opened>),
    /// The file could not be opened again after a failure: the sentence says why.
    Failed(String),
    /// The store was closed.
    Closed,
}

/// A failure that an operator has to know of.
struct Trouble {
    sentence: String,
    /// True if writing does not end it.
    lasts: bool,
}

/// The parts that the writer and the readers share.
pub(super) struct StoreState {
    pub(super) settings: StoreSettings,
    pub(super) counters: Counters,
    slot: Mutex<Slot>,
    trouble: Mutex<Option<Trouble>>,
}

impl StoreState {
    pub(super) fn new(settings: StoreSettings, slot: Slot) -> Self {
        Self {
            settings,
            counters: Counters::default(),
            slot: Mutex::new(slot),
            trouble: Mutex::new(None),
        }
    }

    /// Counts the buckets of a file that was opened. The writer counts them afterwards.
    pub(super) fn count_buckets(&self) {
        let Slot::Open(opened) = self.slot() else {
            return;
        };
        if let Some(buckets) = opened.bucket_count() {
            self.counters.set_buckets(buckets);
        }
    }

    /// Returns the file as it is now.
    pub(super) fn slot(&self) -> Slot {
        lock(&self.slot).clone()
    }

    /// Replaces the file, and returns the former one.
    pub(super) fn replace(&self, slot: Slot) -> Slot {
        std::mem::replace(&mut lock(&self.slot), slot)
    }

    /// Notes a trouble for probes until a commit succeeds, and logs it if it is not known yet.
    pub(super) fn degrade(&self, sentence: String) {
        self.note(sentence, false);
    }

    /// Notes damage for probes, which lasts until the server is started again.
    pub(super) fn damaged(&self, sentence: String) {
        self.note(sentence, true);
    }

    fn note(&self, sentence: String, lasts: bool) {
        let mut trouble = lock(&self.trouble);
        // The sentences about a full disk have numbers that change, and would fill the log.
        let kind = |sentence: &str| match sentence.split_once(" is full") {
            Some((disk, _)) => disk.to_owned(),
            None => sentence.to_owned(),
        };
        let is_known = trouble
            .as_ref()
            .is_some_and(|known| kind(&known.sentence) == kind(&sentence));
        let is_covered = trouble.as_ref().is_some_and(|known| known.lasts && !lasts);
        if is_known {
            return;
        }
        tracing::error!("{sentence}");
        if !is_covered {
            *trouble = Some(Trouble { sentence, lasts });
        }
    }

    /// Notes that writing works.
    pub(super) fn recovered(&self) {
        let mut trouble = lock(&self.trouble);
        if trouble.take_if(|trouble| !trouble.lasts).is_some() {
            tracing::info!("the key-value storage works again");
        }
    }

    /// Notes that the disk has too little free space.
    pub(super) fn degrade_space(&self, free: u64) {
        let (folder, min) = (self.settings.folder.display(), self.settings.min_free >> 20);
        self.degrade(format!(
            "the disk of the key-value storage {folder} is full: {} MiB are free and {min} MiB must stay so (kv.min-free); nothing is written until there is space",
            free >> 20
        ));
    }

    /// Notes that the system found no space.
    pub(super) fn degrade_full(&self, error: &std::io::Error) {
        let folder = self.settings.folder.display();
        self.degrade(format!(
            "the disk of the key-value storage {folder} is full ({error}); nothing is written until there is space"
        ));
    }

    /// Notes that the system does not let the file grow.
    pub(super) fn degrade_file_limit(&self, error: &std::io::Error) {
        let path = self.settings.folder.join(FILE);
        self.degrade(format!(
            "the key-value storage {} may not grow ({error}); raise the limit of the server's files (ulimit -f, or LimitFSIZE= of systemd), or delete what is not needed",
            path.display()
        ));
    }

    /// Returns whether the store works.
    pub(super) fn health(&self) -> Health {
        if let Some(trouble) = &*lock(&self.trouble) {
            return Health::Degraded(trouble.sentence.clone());
        }
        match self.slot() {
            Slot::Unmade => Health::Unused,
            Slot::Open(_) | Slot::Closed => Health::Ok,
            Slot::Failed(sentence) => Health::Degraded(sentence),
        }
    }
}
