//! The problems that exist now. Each is logged once, when it is new, and shown as long as it exists.

use std::collections::BTreeMap;

/// The thing that has a problem. The order is that in which problems are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The settings, as they were read last.
    Settings,
    /// The handlers folder as such.
    Folder,
    /// A folder in the handlers folder, with a `/` at its end.
    Subfolder(String),
    /// A file that cannot be a handler, whatever is in it.
    File(String),
    /// A handler that has settings and no file.
    Handler(String),
}

/// The problems that were found last, each with its cause.
#[derive(Default)]
pub(super) struct Problems(BTreeMap<Subject, String>);

impl Problems {
    /// Notes a problem. Returns true if it is new, or its cause is another than before.
    pub(super) fn add(&mut self, subject: Subject, cause: &str) -> bool {
        let before = self.0.insert(subject, cause.to_owned());
        before.as_deref() != Some(cause)
    }

    /// Forgets a problem. Returns true if there was one.
    pub(super) fn remove(&mut self, subject: &Subject) -> bool {
        self.0.remove(subject).is_some()
    }

    /// Replaces the problems with subjects of one sort by those that were found now, and returns the new ones.
    pub(super) fn replace(
        &mut self,
        is_of_sort: fn(&Subject) -> bool,
        found: Vec<(Subject, String)>,
    ) -> Vec<(Subject, String)> {
        self.0.retain(|subject, _| {
            !is_of_sort(subject) || found.iter().any(|(one, _)| one == subject)
        });
        found
            .into_iter()
            .filter(|(subject, cause)| self.add(subject.clone(), cause))
            .collect()
    }

    /// Returns all problems, in the order of their subjects.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Subject, &str)> {
        self.0.iter().map(|(subject, cause)| (subject, &**cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_new_once_and_again_when_its_cause_changes() {
        let mut problems = Problems::default();
        assert!(problems.add(Subject::Folder, "gone"));
        assert!(!problems.add(Subject::Folder, "gone"));
        assert!(problems.add(Subject::Folder, "locked"));
        assert!(problems.remove(&Subject::Folder) && !problems.remove(&Subject::Folder));
    }

    #[test]
    fn only_what_is_new_of_one_sort_is_returned_and_the_rest_of_it_forgotten() {
        let is_file = |subject: &Subject| matches!(subject, Subject::File(_));
        let file = |name: &str| (Subject::File(name.to_owned()), "a link".to_owned());
        let mut problems = Problems::default();
        problems.add(Subject::Settings, "wrong");
        let found = problems.replace(is_file, vec![file("a"), file("b")]);
        assert_eq!(found, [file("a"), file("b")]);
        let found = problems.replace(is_file, vec![file("b"), file("c")]);
        assert_eq!(found, [file("c")]);
        let all: Vec<_> = problems
            .iter()
            .map(|(subject, _)| subject.clone())
            .collect();
        assert_eq!(all, [Subject::Settings, file("b").0, file("c").0]);
    }
}
