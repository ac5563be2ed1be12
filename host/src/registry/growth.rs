//! The table while the folder is read for the first time: it grows as files become ready.
//!
//! It grows only if `handlers.required` names handlers. They are the ones that guard, so nothing is served before all of
//! them are ready. Without such a list any file may have a policy that guards the others, and the table comes as a whole.
//!
//! A request gets the answer of the handler that answers it later too, or a 503. The table therefore has only routes
//! that no file which is not ready can take: with a method and without parameters, so that none is more particular, of
//! required files and of those whose names come before the first file that is not ready.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conflicts::{Contender, conflicts};
use super::files::Verdict;
use super::served::Served;
use super::table::{Table, bare, is_required};

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

    /// Notes that a file is done. Returns a table if it is worth one: each has at least an eighth more handlers than the
    /// one before, so that making tables costs little, however many files there are.
    pub(super) fn note(&mut self, name: &str, verdict: &Verdict) -> Option<Table> {
        self.pending.remove(name);
        if let Verdict::Loaded(handler) = verdict {
            self.ready.push(Arc::clone(handler));
        }
        if !self.is_guarded() {
            return None;
        }
        let open = self.open();
        if open.len() <= self.served + self.served / 8 {
            return None;
        }
        self.served = open.len();
        Some(Table::growing(open, &self.ready))
    }

    /// Returns true if there are required handlers, and all of them are ready.
    fn is_guarded(&self) -> bool {
        let is_ready = |name: &String| self.ready.iter().any(|one| bare(&one.name) == *name);
        !self.required.is_empty() && self.required.iter().all(is_ready)
    }

    /// Returns the handlers whose routes no other file can take.
    fn open(&self) -> Vec<Arc<Served>> {
        let first = self.pending.first();
        let is_required = |one: &Served| is_required(&one.name, self.required);
        let is_free = |one: &Served| first.is_none_or(|first| *one.name < **first);
        let all = self.ready.iter();
        let open: Vec<_> = all.filter(|one| is_required(one) || is_free(one)).collect();
        let contenders: Vec<_> = open
            .iter()
            .map(|handler| Contender {
                name: &handler.name,
                is_required: is_required(handler),
                serving: None,
                waiting: Some(&handler.declarations.routes),
            })
            .collect();
        let refused = conflicts(contenders);
        let open = open
            .into_iter()
            .filter(|handler| !refused.contains_key(&*handler.name));
        open.cloned().collect()
    }
}
