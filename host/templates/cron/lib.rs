//! A handler for Hitchy that runs by itself: every ten seconds, and each night.
//!
//! `cargo test` runs its tests here. `hitchy dev` builds it, serves it, and replaces it on every save.

use hitchy_guest::{App, Due, Result, emit, log};

/// What runs when. The name of a function is the name of its schedule, by which the operator can change it.
fn app() -> App {
    App::new()
        .every("10s", tick)
        // Minute, hour, day of the month, month, day of the week. Without a time zone it would be UTC.
        .cron("0 3 * * * Europe/Berlin", clean_up)
}

/// Every connected client gets an event `tick` with the time at which this was due, in milliseconds since 1970.
fn tick(due: Due) -> Result<()> {
    Ok(emit("tick", &due.millis())?)
}

/// An error that is returned here is written to the log, and the schedule runs again at its next time.
fn clean_up() -> Result<()> {
    log::info("nothing to clean up yet");
    Ok(())
}

hitchy_guest::export!(app);

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use hitchy_guest::testing;

    use super::*;

    #[test]
    fn tells_everyone_the_time() {
        let app = testing::App::new(app);
        let ada = app.client().connect();

        let due = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        app.fire_at("tick", due).unwrap();

        let tick = &testing::emitted()[0];
        assert_eq!(tick.event, "tick");
        assert_eq!(tick.data::<u64>().unwrap(), 10_000);
        assert!(tick.reached(&ada));
    }

    #[test]
    fn cleans_up() {
        let app = testing::App::new(app);
        app.fire("clean_up").unwrap();
        assert_eq!(testing::logged(), ["nothing to clean up yet"]);
    }
}
