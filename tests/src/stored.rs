//! Key-value storage of the guest `storing`, in a folder that outlives its server.

use std::path::Path;

use serde_json::Value;

use crate::{Server, storing};

/// Starts a server with the guest `storing` over a folder of key-value storage.
pub async fn over(folder: &Path) -> Server {
    Server::prepare()
        .handler("a.wasm", storing(""))
        .env("HITCHY_KV__PATH", folder.to_str().expect("UTF-8"))
        .start()
        .await
}

/// Lets the guest do steps, and returns the result of each.
pub async fn run(server: &Server, steps: Value) -> Vec<Value> {
    let answer = server.post("/kv", &steps).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().expect("a list").clone()
}

/// Returns a value whose parts all say the same number, so that a torn one is seen.
pub fn whole(number: u64) -> String {
    format!("{number:08}").repeat(1 + (number as usize * 37) % 600)
}
