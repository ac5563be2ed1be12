//! Statistics over measurements, for the benchmarks.

use std::time::Duration;

/// Measured durations in ascending order.
#[derive(Debug, Clone, Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    /// Sorts the durations, which may come in any order.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// Returns the number of durations.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the duration below which this share of all durations lies, so `0.5` gives the median. Returns zero if
    /// there are no durations.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    /// Returns the longest duration, or zero if there are no durations.
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// Returns true if `cargo bench` started this program. `cargo test --benches` starts the program too, but does not need
/// any figures; a hint is printed in that case.
#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
pub fn are_wanted() -> bool {
    let wanted = std::env::args().any(|arg| arg == "--bench");
    if !wanted {
        println!("this is a benchmark: run it with cargo bench");
    }
    wanted
}

/// Returns the median of the numbers, or zero if there are none.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Formats a duration in milliseconds with one decimal, for people to read.
pub fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
