//! The lines that a program prints, as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wait::eventually;

/// Follows a stream on a thread of its own until the stream ends. Clones see the same lines.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Starts to follow. Several streams may be followed into the same lines.
    pub fn follow(&self, stream: impl Read + Send + 'static) {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|length| length > 0)
            {
                let text = String::from_utf8_lossy(&line);
                lines
                    .lock()
                    .push(text.trim_end_matches(['\n', '\r']).to_string());
                line.clear();
            }
        });
    }

    /// The lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Returns the number of lines so far, which is a place to look from.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns true if there are no lines so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first line from place `from` on for which `pick`, given place and line, gives something.
    pub fn find<T>(
        &self,
        from: usize,
        mut pick: impl FnMut(usize, &str) -> Option<T>,
    ) -> Option<T> {
        self.lock()
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(place, line)| pick(place, line))
    }

    /// Waits for such a line.
    ///
    /// # Panics
    /// With `what` when there is none by the deadline.
    pub async fn wait<T>(
        &self,
        what: &str,
        from: usize,
        deadline: Duration,
        mut pick: impl FnMut(usize, &str) -> Option<T>,
    ) -> T {
        eventually(what, deadline, async || self.find(from, &mut pick)).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
