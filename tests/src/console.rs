//! Access to the JSON pages of the console, for its tests.

use serde_json::Value;

use crate::guest;
use crate::server::{Plan, Server};

/// Returns the plan of a server with the guest `probe` and with a console.
///
/// # Panics
/// Panics if the guest cannot be built.
pub fn probe() -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .console()
}

/// Returns the JSON of a page of the console.
///
/// # Panics
/// Panics if the page does not answer with status 200 and JSON.
pub async fn page(server: &Server, target: &str) -> Value {
    let answer = server.ask_console(target).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Returns the first object of a list whose `field` has this value.
///
/// # Panics
/// Panics if `list` is not an array.
pub fn find<'a>(list: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    let list = list.as_array().expect("a list");
    list.iter().find(|one| one[field] == value)
}
