//! The declarations of schedules.

use super::App;
use super::entries::{Schedule, Times};
use crate::answer::IntoOutcome;
use crate::extract::FromSchedule;
use crate::function::Function;

impl App {
    /// Runs a function again and again, `every` so long: `5s`, `1h 30m`. The shortest length is one second.
    ///
    /// No client causes the call. The function can emit to clients, send requests to this server with
    /// [`dispatch`](crate::dispatch), and take [`Due`](crate::Due), the time at which it is due, as an argument. An error
    /// is written to the log, and the function runs again at the next time.
    ///
    /// The times are the multiples of the length since 1970, so that they do not depend on when the handler was loaded:
    /// `1h` is every full hour. A time at which the call before it still runs is skipped.
    ///
    /// The name of the function is the name of the schedule, by which the operator can give it other times or switch it
    /// off. See [`schedule`](App::schedule) for a name of your own. The name of a closure is made from its times.
    ///
    /// ```
    /// use hitchy_guest::{App, Result, emit};
    ///
    /// fn app() -> App {
    ///     App::new().every("5s", tick)
    /// }
    ///
    /// fn tick() -> Result<()> {
    ///     Ok(emit("tick", &())?)
    /// }
    /// # app();
    /// ```
    ///
    /// A closure that captures a value does not compile:
    ///
    /// ```compile_fail
    /// let greeting = String::from("hello");
    /// hitchy_guest::App::new().every("5s", move || println!("{greeting}")); // captures
    /// ```
    pub fn every<F, A>(mut self, length: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromSchedule + 'static,
        F::Output: IntoOutcome,
    {
        self.entries
            .schedules
            .push(Schedule::new(None, Times::Every(length), function));
        self
    }

    /// Runs a function at the times of a cron expression. Everything else is as with [`every`](App::every).
    ///
    /// The expression has five fields: minute, hour, day of the month, month and day of the week. A second may stand
    /// before them. The times are in UTC, unless the name of a time zone follows.
    ///
    /// ```
    /// use hitchy_guest::{App, Result, log};
    ///
    /// fn app() -> App {
    ///     App::new()
    ///         .cron("0 3 * * *", clean_up) // at 3 in the morning, UTC
    ///         .cron("0 9 * * MON-FRI Europe/Berlin", report)
    /// }
    ///
    /// fn clean_up() -> Result<()> {
    ///     log::info("cleaning up");
    ///     Ok(())
    /// }
    ///
    /// fn report() {}
    /// # app();
    /// ```
    pub fn cron<F, A>(mut self, expression: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromSchedule + 'static,
        F::Output: IntoOutcome,
    {
        self.entries
            .schedules
            .push(Schedule::new(None, Times::Spec(expression), function));
        self
    }

    /// Runs a function at times, under a name of its own. The operator can give the schedule other times, or switch it
    /// off, by this name: up to 64 letters, digits, `-`, `_` and `.`, unique in the handler.
    ///
    /// `spec` is `every` and a length of time, or a cron expression. See [`every`](App::every) and
    /// [`cron`](App::cron).
    ///
    /// ```
    /// use hitchy_guest::App;
    ///
    /// fn app() -> App {
    ///     App::new()
    ///         .schedule("cleanup", "every 1h", || println!("cleaning up"))
    ///         .schedule("report", "0 9 * * MON", || println!("another week"))
    /// }
    /// # app();
    /// ```
    pub fn schedule<F, A>(mut self, name: &'static str, spec: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromSchedule + 'static,
        F::Output: IntoOutcome,
    {
        self.entries
            .schedules
            .push(Schedule::new(Some(name), Times::Spec(spec), function));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean_up() {}

    fn report<T>() {}

    #[test]
    fn i12_5_a_schedule_has_a_name_that_stays() {
        let app = App::new()
            .every("5s", clean_up)
            .cron("0 3 * * *", report::<Vec<u8>>)
            .schedule("mine", "every 1h 30m", clean_up)
            .every("5s", || ())
            .cron("*/10 9-17 1,15 * *", || ())
            .entries;
        assert_eq!(
            size_of_val(&*app.schedules[0].run),
            0,
            "boxing it allocates nothing"
        );
        for (schedule, (name, spec)) in app.schedules.iter().zip([
            ("clean_up", "every 5s"),
            ("report", "0 3 * * *"),
            ("mine", "every 1h 30m"),
            ("every-5s", "every 5s"),
            ("x_10-9-17-1.15-x-x", "*/10 9-17 1,15 * *"),
        ]) {
            assert_eq!(
                (schedule.name(), schedule.spec()),
                (name.to_owned(), spec.to_owned())
            );
        }
    }
}
