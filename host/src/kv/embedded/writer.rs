//! The thread that writes: it commits groups of changes, and recovers the file after a failure.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::apply::{self, Answer, Change, Committed, Failure};
use super::open::{FILE, OpenError, Opened};
use super::read::damage;
use super::shared::{Slot, StoreState};
use crate::kv::error::Error;
use crate::kv::types::BucketName;

/// Changes of one commit.
const GROUP: usize = 512;
/// Bytes of the changes of one commit, but for the last of them.
const GROUP_BYTES: usize = 8 << 20;
/// Time after a failure of the storage in which nothing is tried: opening the file reads all of it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for reads that run.
const READS_END: Duration = Duration::from_secs(2);
/// Bytes that a commit may need besides what is written, for pages on the way to it.
const SLACK: u64 = 1 << 20;

/// What the writer is asked to do.
pub(super) enum Request {
    /// Applies a change, commits it and answers.
    Change {
        bucket: BucketName,
        change: Change,
        answer: oneshot::Sender<Answer>,
        /// Its part of the memory for waiting changes.
        space: Option<OwnedSemaphorePermit>,
    },
    /// Opens the file again, because it could not be read.
    Reopen,
    /// Closes the file, answers, and ends.
    Close(oneshot::Sender<()>),
}

/// A change with whoever waits for it.
struct Waiting {
    bucket: BucketName,
    change: Change,
    answer: oneshot::Sender<Answer>,
    _space: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    fn fail(self, error: Error) {
        // The caller may be gone.
        let _ = self.answer.send(Err(error));
    }
}

/// The writer of a store.
pub(super) struct Writer {
    shared: Arc<StoreState>,
    requests: mpsc::Receiver<Request>,
    /// The time before which nothing is tried after a failure, and what changes are answered until then.
    paused: Option<(Instant, Error)>,
    /// The time before which readers need not ask to open the file again, because it has just been opened.
    fresh: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<StoreState>, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            shared,
            requests,
            paused: None,
            fresh: None,
        }
    }

    /// Works until the store is closed or dropped.
    pub(super) fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let (group, after) = self.gather(first);
            if !group.is_empty() {
                self.commit(group);
            }
            match after {
                Some(Request::Reopen) => self.reopen_for_readers(),
                Some(Request::Close(done)) => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
                _ => {}
            }
        }
        self.close();
    }

    /// Takes the changes that wait, up to the size of a group, and the request after them that is not a change.
    fn gather(&mut self, first: Request) -> (Vec<Waiting>, Option<Request>) {
        let (mut group, mut size) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Change {
                    bucket,
                    change,
                    answer,
                    space,
                } => {
                    size += change.size();
                    // A call that was dropped does not wait any more, and its change is left out.
                    if !answer.is_closed() {
                        group.push(Waiting {
                            bucket,
                            change,
                            answer,
                            _space: space,
                        });
                    }
                }
                other => return (group, Some(other)),
            }
            let is_full = group.len() >= GROUP || size >= GROUP_BYTES;
            next = (!is_full).then(|| self.requests.try_recv().ok()).flatten();
        }
        (group, None)
    }

    /// Commits a group and answers it.
    fn commit(&mut self, group: Vec<Waiting>) {
        let group = self.within_free_space(group);
        if group.is_empty() {
            return;
        }
        let opened = match self.opened() {
            Ok(opened) => opened,
            Err(error) => return self.fail(group, error),
        };
        if !opened.is_in_place(&self.shared.settings) {
            let error = self.misplaced();
            return self.fail(group, error);
        }
        let changes = group.iter().map(|one| (&one.bucket, &one.change));
        let settings = &self.shared.settings;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            apply::commit(opened.database(), settings, changes)
        }));
        drop(opened);
        match outcome {
            Ok(Ok(Committed { answers, buckets })) => {
                self.shared.counters.set_buckets(buckets);
                self.shared.counters.commit(group.len());
                self.shared.recovered();
                for (waiting, answer) in group.into_iter().zip(answers) {
                    let _ = waiting.answer.send(answer);
                }
            }
            Ok(Err(failure)) => self.recover(group, self.error_of(failure)),
            Err(_) => {
                let cause = "writing it fails in an unexpected way";
                self.shared.damaged(damage(&self.shared, cause));
                self.recover(group, Error::Damaged);
            }
        }
    }

    /// Opens the file again after a failed commit, and then fails the group, so that its callers can read at once.
    fn recover(&mut self, group: Vec<Waiting>, error: Error) {
        if error.is_of_storage() {
            self.reopen();
        }
        self.paused = Some((Instant::now() + PAUSE, error.clone()));
        self.fail(group, error);
    }

    fn fail(&self, group: Vec<Waiting>, error: Error) {
        self.shared.counters.failed(group.len());
        for waiting in group {
            waiting.fail(error.clone());
        }
    }

    /// Fails the changes for which the disk has no space, and returns the others.
    fn within_free_space(&self, group: Vec<Waiting>) -> Vec<Waiting> {
        let size: usize = group.iter().map(|one| one.change.size()).sum();
        let needed = self.shared.settings.min_free + 2 * size as u64 + SLACK;
        let Some(free) = free_space(&self.shared) else {
            return group;
        };
        if free >= needed {
            return group;
        }
        let (growing, others): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|one| one.change.grows());
        if !growing.is_empty() {
            self.shared.degrade_space(free);
            self.fail(growing, Error::DiskFull);
        }
        others
    }

    /// Returns the file, which is made or opened again if need be.
    fn opened(&mut self) -> Result<Arc<Opened>, Error> {
        if let Some((until, error)) = &self.paused {
            if Instant::now() < *until {
                return Err(error.clone());
            }
            self.paused = None;
        }
        let made = match self.shared.slot() {
            Slot::Open(opened) => return Ok(opened),
            Slot::Closed => return Err(Error::closed()),
            Slot::Unmade => Opened::existing_or_new(&self.shared.settings),
            Slot::Failed(_) => Opened::existing_again(&self.shared.settings),
        };
        match made {
            Ok(opened) => {
                let opened = Arc::new(opened);
                self.shared.replace(Slot::Open(Arc::clone(&opened)));
                Ok(opened)
            }
            Err(error) => {
                let error = self.unavailable(&error);
                self.paused = Some((Instant::now() + PAUSE, error.clone()));
                Err(error)
            }
        }
    }

    /// Opens the file again because a reader could not read it. Of the readers that fail together each one asks.
    fn reopen_for_readers(&mut self) {
        if self.fresh.is_none_or(|until| Instant::now() > until) {
            self.reopen();
            self.fresh = Some(Instant::now() + PAUSE);
        }
    }

    /// Opens the file again.
    fn reopen(&mut self) {
        let old = match self.shared.slot() {
            Slot::Open(old) => old,
            // Another process, which has ended, made the file; or it could not be opened, and may have been mended.
            Slot::Unmade | Slot::Failed(_) => return drop(self.opened()),
            Slot::Closed => return,
        };
        match old.again(old.lock(), &self.shared.settings) {
            Ok(opened) => {
                self.shared.replace(Slot::Open(Arc::new(opened)));
            }
            Err(error) => {
                let sentence = error.to_string();
                self.shared.degrade(sentence.clone());
                self.shared.replace(Slot::Failed(sentence));
            }
        }
    }

    /// Returns the error of a failed commit, and tells the operator.
    fn error_of(&self, failure: Failure) -> Error {
        let cause = match failure {
            Failure::Storage(redb::Error::Io(error)) if is_full(error.kind()) => {
                self.shared.degrade_full(&error);
                return Error::DiskFull;
            }
            Failure::Storage(redb::Error::Io(error)) if error.kind() == ErrorKind::FileTooLarge => {
                self.shared.degrade_file_limit(&error);
                return Error::FileLimit;
            }
            Failure::Storage(redb::Error::Corrupted(cause)) => {
                self.shared.damaged(damage(&self.shared, &cause));
                return Error::Damaged;
            }
            Failure::Damaged => {
                let cause = "the checksum of a record is wrong";
                self.shared.damaged(damage(&self.shared, cause));
                return Error::Damaged;
            }
            Failure::Storage(error) => error.to_string(),
        };
        let sentence = format!("the key-value storage cannot be written: {cause}");
        self.shared.degrade(sentence.clone());
        Error::Unavailable(sentence)
    }

    /// Returns the error of a change while the file has been removed or replaced, and tells the operator.
    fn misplaced(&self) -> Error {
        let path = self.shared.settings.folder.join(FILE);
        let sentence = format!(
            "the key-value storage {} was removed or replaced while the server runs; put it back, or start the server again; \
             nothing is written until then",
            path.display()
        );
        self.shared.degrade(sentence.clone());
        Error::Unavailable(sentence)
    }

    fn unavailable(&self, error: &OpenError) -> Error {
        let sentence = error.to_string();
        self.shared.degrade(sentence.clone());
        Error::Unavailable(sentence)
    }

    /// Closes the file, after the reads that run.
    fn close(&mut self) {
        let Slot::Open(mut opened) = self.shared.replace(Slot::Closed) else {
            return;
        };
        let until = Instant::now() + READS_END;
        let closed = loop {
            match Arc::try_unwrap(opened) {
                Ok(opened) => break opened.close(),
                // The last read closes it.
                Err(_) if Instant::now() > until => return,
                Err(again) => opened = again,
            }
            thread::sleep(Duration::from_millis(1));
        };
        if let Err(error) = closed {
            tracing::warn!(
                "the key-value storage could not be closed: {error}; it is checked at the next start"
            );
        }
    }
}

/// Returns the free bytes of the disk, if the system says them. The folder may not have been made yet.
fn free_space(shared: &StoreState) -> Option<u64> {
    let mut folders = shared.settings.folder.ancestors();
    let space = folders.find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Returns true if an error means that the disk or the user's share of it is full.
fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
