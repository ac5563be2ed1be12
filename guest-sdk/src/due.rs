//! The time at which a schedule is due.

use std::time::{Duration, SystemTime};

/// The time at which a schedule is due. The call begins a little later.
///
/// It is an argument of functions that are declared with [`App::every`](crate::App::every),
/// [`App::cron`](crate::App::cron) and [`App::schedule`](crate::App::schedule), and the source from which
/// [`FromSchedule`](crate::FromSchedule) extracts.
///
/// ```
/// use hitchy_guest::{App, Due, Result, emit};
///
/// fn app() -> App {
///     App::new().every("5s", tick)
/// }
///
/// fn tick(due: Due) -> Result<()> {
///     Ok(emit("tick", &due.millis())?)
/// }
/// # app();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    millis: u64,
}

impl Due {
    pub(crate) fn at_millis(millis: u64) -> Self {
        Due { millis }
    }

    /// Returns the time in milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// Returns the time.
    pub fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.millis)
    }
}
