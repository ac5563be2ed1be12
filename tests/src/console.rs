//! The pages of the console, as its tests read them.

use serde_json::Value;

use crate::guest;
use crate::server::{Plan, Server};

/// A server with the guest that has a bit of everything, and its console.
///
/// # Panics
/// Panics if there can be none.
pub fn probe() -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .console()
}

/// The JSON of a page of the console.
///
/// # Panics
/// Panics if there is none.
pub async fn page(server: &Server, target: &str) -> Value {
    let answer = server.ask_console(target).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// One of a list of objects, by the value of one of its fields.
///
/// # Panics
/// Panics if it is no list.
pub fn find<'a>(list: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    let list = list.as_array().expect("a list");
    list.iter().find(|one| one[field] == value)
}
