//! A growing list of the lines that a program prints.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::eventually;

/// The lines of one or more streams, in the order in which they were read. Clones share one list.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads lines from a stream on a new thread until the stream ends. Several streams may add to the same list.
    pub fn follow(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
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
        })
    }

    /// Returns the lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Returns the number of lines so far, which is the index of the next line.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns true if there are no lines so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first value that `pick` returns for a line from index `from` on. `pick` receives the index and the
    /// line.
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

    /// Waits until [`Lines::find`] returns a value, and returns that value.
    ///
    /// # Panics
    /// Panics with `what` if there is no value by the deadline.
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
