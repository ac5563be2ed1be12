//! Tests of the product's clauses, each through every way into the server that can express the clause.
//!
//! A test is an ordinary function with its [`Way`] as the argument. The name of the function begins with the ids of its
//! clauses. [`clauses!`](crate::clauses!) lists the tests and the ways through which each one runs. A test that asks for
//! the guest `probe` runs with the probe in each language. Each run that passes writes a record, and the program
//! `conformance` makes the table in `docs/conformance.md` from the records. A test that is skipped because the official
//! client is not installed writes no record.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use crate::left_out::is_left_out;
use crate::probe::{self, Language};

/// A way into the server: a door and the transport that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The HTTP door.
    Http,
    /// The event `request` in the namespace `/hitchy`, over a websocket.
    RequestWebsocket,
    /// The event `request` in the namespace `/hitchy`, over polling.
    RequestPolling,
    /// Events, connections and broadcasts in other namespaces, over a websocket.
    EventWebsocket,
    /// Events, connections and broadcasts in other namespaces, over polling.
    EventPolling,
}

impl Way {
    /// All ways, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Http,
        Self::RequestWebsocket,
        Self::RequestPolling,
        Self::EventWebsocket,
        Self::EventPolling,
    ];

    /// Returns the name of the way as it is used in the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::RequestWebsocket => "request_websocket",
            Self::RequestPolling => "request_polling",
            Self::EventWebsocket => "event_websocket",
            Self::EventPolling => "event_polling",
        }
    }

    /// Returns the way with this name.
    ///
    /// # Panics
    /// Panics if there is no way with this name.
    pub fn named(name: &str) -> Self {
        let way = Self::ALL.into_iter().find(|way| way.name() == name);
        way.unwrap_or_else(|| panic!("there is no way {name}"))
    }

    /// Returns the official client's name of the transport.
    ///
    /// # Panics
    /// Panics for HTTP, because it does not need a client of socket.io.
    pub fn transport(self) -> &'static str {
        match self {
            Self::Http => panic!("HTTP is no transport of socket.io"),
            Self::RequestWebsocket | Self::EventWebsocket => "websocket",
            Self::RequestPolling | Self::EventPolling => "polling",
        }
    }
}

thread_local! {
    /// True if the test on this thread was skipped. The flag is local to the thread, because each test runs on a thread
    /// of its own.
    static SKIPPED: Cell<bool> = const { Cell::new(false) };
}

/// Marks the test that runs on this thread as skipped.
pub fn skip() {
    SKIPPED.set(true);
}

/// Runs a test of clauses and writes a record if the test passes and is not skipped. A test that has asked for the guest
/// `probe` is then run again with the probe in each other language: what a clause promises must not depend on the
/// language of the handler.
///
/// # Panics
/// Panics if the test panics, or if a record cannot be written.
pub async fn run(test: &str, way: Way, told: impl AsyncFn(Way)) {
    if let Some(language) = probe::only() {
        run_with(language, test, way, &told).await;
        return;
    }
    if !run_with(Language::Rust, test, way, &told).await || !probe::was_asked_for() {
        return;
    }
    for language in Language::TESTED.into_iter().skip(1) {
        run_with(language, test, way, &told).await;
    }
}

/// Runs a test with the probe in a language. Returns true if it was run and not skipped.
async fn run_with(language: Language, test: &str, way: Way, told: &impl AsyncFn(Way)) -> bool {
    let record = records().join(record(test, way, language));
    // The record of an earlier run is removed first, because the test may fail this time.
    let _ = fs::remove_file(&record);
    if is_left_out(test, language) || !language.is_available() {
        return false;
    }
    probe::choose(language);
    SKIPPED.set(false);
    let told_of = TellsLanguage(language);
    told(way).await;
    drop(told_of);
    if SKIPPED.get() {
        return false;
    }
    if language == Language::Rust || probe::was_asked_for() {
        let content = if probe::was_asked_for() { PROBE } else { "" };
        fs::create_dir_all(records()).expect("the folder of records can be made");
        fs::write(record, content).expect("the record can be written");
    }
    true
}

/// Tells with which probe a test has failed.
struct TellsLanguage(Language);

impl Drop for TellsLanguage {
    #[expect(
        clippy::print_stderr,
        reason = "cargo test shows it with the failure of the test"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with the guest `probe` in {}", self.0.title());
        }
    }
}

/// The content of the record of a test that has asked for the probe.
pub const PROBE: &str = "probe";

/// Returns the name of the record of a test: `TEST.WAY`, or `TEST.WAY.LANGUAGE` for a probe that is not in Rust.
pub fn record(test: &str, way: Way, language: Language) -> String {
    match language {
        Language::Rust => format!("{test}.{}", way.name()),
        other => format!("{test}.{}.{}", way.name(), other.name()),
    }
}

/// Returns the folder of the records. It has one file for each test that passed, with the name that [`record`] returns.
pub fn records() -> PathBuf {
    crate::target_dir().join("conformance")
}

/// Lists tests of clauses and the ways through which each test runs:
///
/// ```text
/// clauses! {
///     request_websocket request_polling: b01_method_is_get_by_default b05_root_is_a_url;
///     http: r09_unknown_path_is_404;
/// }
/// ```
///
/// Each pair becomes a test `NAME::WAY`. A test function that is in no list is dead code, and the compiler warns about
/// it.
#[macro_export]
macro_rules! clauses {
    ($($way:ident)+ : $($test:ident)+ ; $($rest:tt)*) => {
        $crate::clauses!(@each [$($way)+] $($test)+);
        $crate::clauses!($($rest)*);
    };
    () => {};
    (@each $ways:tt $($test:ident)+) => { $($crate::clauses!(@test $test $ways);)+ };
    (@test $test:ident [$($way:ident)+]) => {
        mod $test {
            $(
                #[tokio::test]
                async fn $way() {
                    let way = hitchy_tests::clauses::Way::named(stringify!($way));
                    hitchy_tests::clauses::run(stringify!($test), way, super::$test).await;
                }
            )+
        }
    };
}
