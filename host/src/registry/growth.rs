//! The table while the folder is read for the first time: it grows as files become ready.
//!
//! It grows only if `handlers.required` names handlers. They are the ones that guard, so nothing is served before all
//! of them are ready. Without such a list any file may have a policy that guards the others, and the table comes as a
//! whole.
//!
//! A request is answered by the handler that answers it later too, or with a 503. The table therefore has only routes
//! that no file which is not ready can take: with a method and without parameters, so that none is more particular, of
//! required files and of those whose names come before the first file that is not ready. It lacks the policies of files
//! that are neither required nor ready, and a handler that asks another one may get a 503 from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conflicts::{Contender, conflicts};
use super::files::Verdict;
use super::served::Served;
use super::table::{Table, is_required};
use crate::names::bare;

/// The files of the first reading of the folder.
pub(super) struct Growth<'a> {
    required: &'a [String],
    /// The names of the files that are not done.
    pending: BTreeSet<String>,
    ready: Vec<Arc<Served>>,
    /// The number of handlers in the last table.
    served: usize,
}

impl<'a> Growth<'a> {
    /// Begins with all files of the folder.
    pub(super) fn new(names: impl Iterator<Item = String>, required: &'a [String]) -> Self {
        Self {
            required,
            pending: names.collect(),
            ready: Vec::new(),
            served: 0,
        }
    }

    /// Notes that a file is done. Returns a table if it is worth one: each has at least an eighth more handlers than
    /// the one before, so that making tables costs little, however many files there are.
    pub(super) fn note(&mut self, name: &str, verdict: &Verdict) -> Option<Table> {
        self.pending.remove(name);
        if let Verdict::Loaded(handler) = verdict {
            self.ready.push(Arc::clone(handler));
        }
        let ready = self.ready_to_serve()?;
        let certain = self.certain(&ready);
        if certain.len() <= self.served + self.served / 8 {
            return None;
        }
        self.served = certain.len();
        Some(Table::growing(certain, &ready))
    }

    /// Returns the handlers that are ready and in no conflict, by name. Returns `None` unless every required handler is
    /// among them.
    fn ready_to_serve(&self) -> Option<Vec<Arc<Served>>> {
        if self.required.is_empty() {
            return None;
        }
        let contenders = self.ready.iter().map(|handler| Contender {
            name: &handler.name,
            is_required: is_required(&handler.name, self.required),
            serving: None,
            waiting: Some(&handler.declarations.routes),
        });
        let refused = conflicts(contenders.collect());
        let served = |one: &&Arc<Served>| !refused.contains_key(&*one.name);
        let mut ready: Vec<_> = self.ready.iter().filter(served).cloned().collect();
        ready.sort_by(|one, other| one.name.cmp(&other.name));
        let has = |name: &String| ready.iter().any(|one| bare(&one.name) == *name);
        self.required.iter().all(has).then_some(ready)
    }

    /// Returns those handlers of `ready` whose routes no other file can take.
    fn certain(&self, ready: &[Arc<Served>]) -> Vec<Arc<Served>> {
        let first = self.pending.first();
        let is_certain = |one: &&Arc<Served>| {
            is_required(&one.name, self.required) || first.is_none_or(|first| *one.name < **first)
        };
        ready.iter().filter(is_certain).cloned().collect()
    }
}
