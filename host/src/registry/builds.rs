//! Builds that `hitchy dev` announces before a file comes into the folder, so that the log line of its reload can name
//! them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock::lock;
use crate::runtime::ContentHash;

/// A build of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The time that the build took.
    pub time: Duration,
    /// The sources that were saved before it, as people name them; empty if nobody saved anything.
    pub saved: Vec<String>,
}

/// The builds that were announced and not logged yet. Clones share them.
#[derive(Clone, Default)]
pub struct Builds(Arc<Mutex<HashMap<String, (ContentHash, Build)>>>);

impl Builds {
    /// Announces that the file `name` of the handlers folder is about to have this content.
    pub fn announce(&self, name: &str, content: &[u8], build: Build) {
        let announced = (ContentHash::of(content), build);
        lock(&self.0).insert(name.to_owned(), announced);
    }

    /// Removes and returns the build that was announced for a file with this content.
    pub(super) fn take(&self, name: &str, hash: ContentHash) -> Option<Build> {
        let mut builds = lock(&self.0);
        if builds.get(name).is_none_or(|(of, _)| *of != hash) {
            return None;
        }
        builds.remove(name).map(|(_, build)| build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_once_and_only_of_its_content() {
        let builds = Builds::default();
        let build = Build {
            time: Duration::from_secs(1),
            saved: vec!["src/lib.rs".to_owned()],
        };
        builds.announce("a.wasm", b"new", build.clone());
        assert_eq!(builds.take("a.wasm", ContentHash::of(b"old")), None);
        assert_eq!(builds.take("b.wasm", ContentHash::of(b"new")), None);
        let taken = builds.take("a.wasm", ContentHash::of(b"new"));
        assert_eq!(taken, Some(build));
        assert_eq!(builds.take("a.wasm", ContentHash::of(b"new")), None);
    }
}
