//! What the writer and the readers of a store share.

use std::sync::{Arc, Mutex};

use super::StoreSettings;
use super::open::Opened;
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

/// The parts that the writer and the readers share.
pub(super) struct Shared {
    pub(super) settings: StoreSettings,
    pub(super) counters: Counters,
    slot: Mutex<Slot>,
    /// Damage or a failure that an operator has to know of.
    trouble: Mutex<Option<String>>,
}

impl Shared {
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

    /// Notes a trouble for probes, and logs it if it is not known yet.
    pub(super) fn degrade(&self, sentence: String) {
        let mut trouble = lock(&self.trouble);
        if trouble.as_ref() != Some(&sentence) {
            tracing::error!("{sentence}");
            *trouble = Some(sentence);
        }
    }

    /// Notes that a trouble is over.
    pub(super) fn recovered(&self) {
        if lock(&self.trouble).take().is_some() {
            tracing::info!("the key-value storage works again");
        }
    }

    /// Notes that the disk has too little free space.
    pub(super) fn degrade_space(&self, free: u64) {
        let (folder, min) = (self.settings.folder.display(), self.settings.min_free >> 20);
        let sentence = format!(
            "the disk of the key-value storage {folder} is full: {} MiB are free and {min} MiB must stay so (kv.min-free); nothing is written until there is space",
            free >> 20
        );
        self.degrade_once("is full", sentence);
    }

    /// Notes that the system found no space.
    pub(super) fn degrade_full(&self, error: &std::io::Error) {
        let folder = self.settings.folder.display();
        let sentence = format!(
            "the disk of the key-value storage {folder} is full ({error}); nothing is written until there is space"
        );
        self.degrade_once("is full", sentence);
    }

    /// Notes that there is space again.
    pub(super) fn recovered_space(&self) {
        let is_full = |known: &String| known.contains("is full");
        if lock(&self.trouble).as_ref().is_some_and(is_full) {
            self.recovered();
        }
    }

    /// Notes a trouble unless one of this kind is known, so that the log is not filled with numbers that change.
    fn degrade_once(&self, kind: &str, sentence: String) {
        let is_known = |known: &String| known.contains(kind);
        if !lock(&self.trouble).as_ref().is_some_and(is_known) {
            self.degrade(sentence);
        }
    }

    /// Returns whether the store works.
    pub(super) fn health(&self) -> Health {
        if let Some(trouble) = lock(&self.trouble).clone() {
            return Health::Degraded(trouble);
        }
        match self.slot() {
            Slot::Unmade => Health::Unused,
            Slot::Open(_) | Slot::Closed => Health::Ok,
            Slot::Failed(sentence) => Health::Degraded(sentence),
        }
    }
}
