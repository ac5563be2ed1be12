//! Handlers in C and Go, built by the compilers of those languages and served as they leave them.

use hitchy_tests::commands::{hitchy, out};
use hitchy_tests::{Server, modules, official_client, toolchains};
use serde_json::{Value, json};

/// Serves a command and asks it over HTTP and by an event. Returns the ack.
async fn ask_command(wasm: Vec<u8>, hello: &str) -> Option<Value> {
    let server = Server::prepare()
        .handler("tool.wasm", wasm)
        .file("handlers/tool.toml", "serve = \"cgi\"\nevents = [\"say\"]")
        .start()
        .await;
    let answer = server.get("/tool/x").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text().trim_end(), format!("{hello} at /x"));
    let node = official_client().await?;
    let socket = node.connect(&server, "/").await;
    Some(socket.ask("say", json!(["hi", 2])).await)
}

/// Serves a library and asks it over HTTP.
async fn ask_library(wasm: Vec<u8>, target: &str, hello: &str) {
    let server = Server::with("lib.wasm", wasm).await;
    server.wait_for_log(&["lib.wasm: loaded"]).await;
    for _ in 0..3 {
        let answer = server.get(target).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text(), format!("{hello} at {target}"));
    }
    let text = out(&hitchy(server.dir(), &["inspect", "handlers/lib.wasm"]));
    assert!(text.contains("core module, adapted"), "{text}");
}

#[tokio::test]
async fn d09_a_library_in_c_is_served_as_clang_leaves_it() {
    if let Some(wasm) = toolchains::c("library", true) {
        ask_library(wasm, "/c/you", "hello from C").await;
    }
}

#[tokio::test]
async fn d09_a_library_in_go_is_served_with_the_types_of_the_contract() {
    if let Some(wasm) = toolchains::go("library", true) {
        let typed = modules::of_contract(&wasm, "http-only");
        ask_library(typed, "/go/you", "hello from Go").await;
    }
}

#[tokio::test]
async fn i12_7_a_command_in_c_is_served_by_cgi() {
    let Some(wasm) = toolchains::c("command", false) else {
        return;
    };
    if let Some(ack) = ask_command(wasm, "hello from C").await {
        assert_eq!(ack, json!(["acked by C: say"]));
    }
}

#[tokio::test]
async fn i12_7_a_command_in_go_is_served_by_cgi() {
    let Some(wasm) = toolchains::go("command", false) else {
        return;
    };
    let wanted = json!([{ "from": "Go", "event": "say", "args": ["hi", 2] }]);
    if let Some(ack) = ask_command(wasm, "hello from Go").await {
        assert_eq!(ack, wanted);
    }
}
