//! Tests of the product's clauses, each through every way into the server that can express it.
//!
//! A test is an ordinary function that is told its [`Way`]; its name begins with the ids of its clauses.
//! [`clauses!`](crate::clauses!) lists which are run through which ways. Each that passes leaves a record behind, of
//! which the program `conformance` makes the table in `docs/conformance.md`. One that was skipped, for want of the
//! official client, leaves none.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

/// A door, and the transport on which it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// HTTP.
    Http,
    /// `request` in `/hitchy`, over a websocket.
    RequestWebsocket,
    /// `request` in `/hitchy`, over polling.
    RequestPolling,
    /// Events, connections and broadcasts in other namespaces, over a websocket.
    EventWebsocket,
    /// The same door over polling.
    EventPolling,
}

impl Way {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Http,
        Self::RequestWebsocket,
        Self::RequestPolling,
        Self::EventWebsocket,
        Self::EventPolling,
    ];

    /// Its name in names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::RequestWebsocket => "request_websocket",
            Self::RequestPolling => "request_polling",
            Self::EventWebsocket => "event_websocket",
            Self::EventPolling => "event_polling",
        }
    }

    /// The way of this name.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn named(name: &str) -> Self {
        let way = Self::ALL.into_iter().find(|way| way.name() == name);
        way.unwrap_or_else(|| panic!("there is no way {name}"))
    }

    /// Returns the name that the official client gives to the transport.
    ///
    /// # Panics
    /// For HTTP, which needs no client of socket.io.
    pub fn transport(self) -> &'static str {
        match self {
            Self::Http => panic!("HTTP is no transport of socket.io"),
            Self::RequestWebsocket | Self::EventWebsocket => "websocket",
            Self::RequestPolling | Self::EventPolling => "polling",
        }
    }
}

thread_local! {
    /// Each test runs on a thread of its own.
    static SKIPPED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the test that runs on this thread cannot be run here.
pub fn skip() {
    SKIPPED.set(true);
}

/// Runs a test of clauses and records that it passed.
///
/// # Panics
/// Panics if the test does, or the record cannot be written.
pub async fn run(test: &str, way: Way, told: impl Future<Output = ()>) {
    let record = records().join(format!("{test}.{}", way.name()));
    // What passed once may fail now.
    let _ = fs::remove_file(&record);
    told.await;
    if SKIPPED.get() {
        return;
    }
    fs::create_dir_all(records()).expect("the folder of records can be made");
    fs::write(record, "").expect("the record can be written");
}

/// The folder of records: one empty file `TEST.WAY` for each test that passed.
pub fn records() -> PathBuf {
    crate::target_dir().join("conformance")
}

/// Lists tests of clauses and the ways through which each is run:
///
/// ```text
/// clauses! {
///     request_websocket request_polling: b01_method_is_get_by_default b05_root_is_a_url;
///     http: r09_unknown_path_is_404;
/// }
/// ```
///
/// Each becomes a test `NAME::WAY`. One that is in no list is dead code, of which the compiler warns.
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
                    hitchy_tests::clauses::run(stringify!($test), way, super::$test(way)).await;
                }
            )+
        }
    };
}
