//! Figures out of measurements.

use std::time::Duration;

/// Durations, sorted.
#[derive(Debug, Clone, Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    /// Of these, in any order.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// Their number.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The one below which this share of them lies: `0.5` is the median. Zero when there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

/// Returns true if `cargo bench` started this program. `cargo test --benches` starts it too, without need for figures.
#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
pub fn are_wanted() -> bool {
    let wanted = std::env::args().any(|arg| arg == "--bench");
    if !wanted {
        println!("this is a benchmark: run it with cargo bench");
    }
    wanted
}

/// The median of numbers.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds for people.
pub fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
