//! Core modules, as toolchains for wasm32-wasip1 leave them: those that carry the contract are served as components are,
//! and all others are refused with a sentence.

use hitchy_tests::clauses::Way;
use hitchy_tests::commands::{hitchy, json_of, out};
use hitchy_tests::guests::core_guest;
use hitchy_tests::{Client, Server, Stage, clauses, components, expect, guest, guests, modules};
use serde_json::json;

clauses! {
    http request_websocket request_polling: d09_a_core_module_answers_requests_as_its_component_does;
    event_websocket event_polling: d09_a_core_module_answers_events_as_its_component_does;
}

async fn d09_a_core_module_answers_requests_as_its_component_does(way: Way) {
    let server = Server::with("probe.wasm", core_guest("probe")).await;
    let component = Server::with("probe.wasm", guest("probe")).await;
    let clients = (
        Client::open(way, &server).await,
        Client::open(way, &component).await,
    );
    let (Some(core), Some(whole)) = clients else {
        return;
    };
    for url in ["/hello/you", "/guarded/x", "/nowhere"] {
        let (answer, wanted) = (core.get(url).await, whole.get(url).await);
        assert_eq!(answer.status, wanted.status, "{url}: {answer:?}");
        assert_eq!(answer.without_id().body, wanted.without_id().body, "{url}");
    }
}

async fn d09_a_core_module_answers_events_as_its_component_does(way: Way) {
    let prepare = |wasm| Server::prepare().handler("probe.wasm", wasm);
    let stages = (
        Stage::set_with(way, prepare(core_guest("probe"))).await,
        Stage::set_with(way, prepare(guest("probe"))).await,
    );
    let (Some(core), Some(whole)) = stages else {
        return;
    };
    let (socket, other) = (core.connect("/").await, whole.connect("/").await);
    for (event, data) in [
        ("echo", json!([{ "some": "data" }, 2])),
        ("ack-wanted", json!([])),
        ("none", json!([])),
    ] {
        let ack = socket.ask(event, data.clone()).await;
        assert_eq!(ack, other.ask(event, data).await, "{event}");
    }
}

#[tokio::test]
async fn d09_a_core_module_is_inspected_and_reloaded_by_the_content_of_its_file() {
    let server = Server::with("v.wasm", core_guest("version_one")).await;
    assert_eq!(server.get("/version").await.text(), "one");
    let report = json_of(&hitchy(
        server.dir(),
        &["inspect", "handlers/v.wasm", "--output", "json"],
    ));
    assert_eq!(report["accepted"], true, "{report}");
    assert_eq!(report["kind"], "core-module");
    assert_eq!(report["contract"], "hitchy:platform@0.1.1");
    assert_eq!(report["size"], core_guest("version_one").len());
    let text = out(&hitchy(server.dir(), &["inspect", "handlers/v.wasm"]));
    assert!(
        text.contains("core module, adapted, written in Rust"),
        "{text}"
    );
    let hash = report["hash"].as_str().expect("a hash");
    server.wait_for_log(&["v.wasm: loaded", hash]).await;
    server.drop_in("v.wasm", core_guest("version_two"));
    server.wait_for_body("/version", "two").await;
}

/// Returns core modules and components that are refused, with words that name the cause and the remedy.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let core = components::core_module;
    vec![
        ("bare", core(""), &["component-type", "wit-bindgen"]),
        (
            "start",
            core(r#"(func (export "_start"))"#),
            &["command", "`_start`", "serve = \"cgi\""],
        ),
        (
            "preview0",
            core(r#"(import "wasi_unstable" "sched_yield" (func (result i32)))"#),
            &["wasi_unstable", "wasm32-wasip1"],
        ),
        (
            "threads",
            core(r#"(import "env" "memory" (memory 1 2 shared))"#),
            &["shared memory", "wasm32-wasip1-threads"],
        ),
        ("memory64", core("(memory i64 1)"), &["memory64", "wasm32"]),
        (
            "env",
            modules::of_empty_world(&core(r#"(import "env" "emscripten_thing" (func))"#)),
            &["cannot be made a component", "env"],
        ),
        (
            "http-three",
            components::exporting("wasi:http/handler@0.3.0", "handle"),
            &["wasi:http 0.3.0", "wasi:http 0.2 is what is served"],
        ),
        (
            "run-three",
            components::exporting("wasi:cli/run@0.3.0-rc-2026-01-01", "run"),
            &["wasi:cli/run@0.3", "this server serves WASI 0.2"],
        ),
        ("async", asynchronous(), &["async", "WASI 0.2"]),
        (
            "major",
            components::for_contract("1.0.0"),
            &["hitchy:platform@1.0.0", "0.1"],
        ),
        (
            "minor",
            components::for_contract("0.2.0"),
            &["hitchy:platform@0.2.0", "0.1"],
        ),
    ]
}

/// Returns a handler with an async export beside `setup`.
fn asynchronous() -> Vec<u8> {
    components::containing(
        r#"(core module $async (func (export "it") (result i32) i32.const 0)
                (func (export "callback") (param i32 i32 i32) (result i32) i32.const 0))
           (core instance $async (instantiate $async))
           (func $later async (canon lift (core func $async "it") async (callback (core func $async "callback"))))
           (export "later" (func $later))"#,
    )
}

#[tokio::test]
async fn i12_7_what_cannot_be_adapted_is_refused_with_its_cause() {
    let mut plan = Server::prepare().handler("good.wasm", guest("version_one"));
    for (name, bytes, _) in refused() {
        plan = plan.handler(&format!("{name}.wasm"), bytes);
    }
    let mut server = plan.start().await;
    for (name, _, words) in refused() {
        let line = expect::refused(&server, 0, &format!("{name}.wasm"), words, "not served").await;
        let cause = line.split_once("refused: ").expect("a refusal").1;
        let cause = cause.strip_suffix("; not served").expect("not served");
        let file = format!("handlers/{name}.wasm");
        let report = json_of(&hitchy(
            server.dir(),
            &["inspect", &file, "--output", "json"],
        ));
        assert_eq!(report["error"].as_str(), Some(cause), "{name}");
    }
    assert_eq!(server.get("/version").await.text(), "one");
    server.assert_unharmed();
}

/// Returns the offsets at which the sections of a core module end, but for the last.
fn section_ends(module: &[u8]) -> Vec<usize> {
    let payloads = wasmparser::Parser::new(0).parse_all(module);
    payloads
        .filter_map(|payload| payload.expect("well formed").as_section())
        .map(|(_, range)| range.end)
        .filter(|end| *end < module.len())
        .collect()
}

#[tokio::test]
async fn l02_a_core_module_cut_anywhere_is_never_served_in_parts() {
    let server = Server::with("v.wasm", core_guest("version_one")).await;
    server.wait_for_log(&["v.wasm: loaded"]).await;
    let whole = core_guest("version_two");
    let mut cuts: Vec<usize> = (1..6).map(|part| whole.len() * part / 6).collect();
    cuts.extend(section_ends(&whole));
    for cut in cuts {
        let from = server.log().len();
        server.drop_in("v.wasm", &whole[..cut]);
        let line = server.wait_for_log_from(from, &["v.wasm: "]).await;
        // A file that lost only a trailing custom section is still complete.
        let is_refused = line.contains("refused");
        let wanted = if is_refused { "one" } else { "two" };
        assert_eq!(
            server.get("/version").await.text(),
            wanted,
            "cut at {cut} of {}: {line}",
            whole.len()
        );
        if !is_refused {
            let from = server.log().len();
            let again = guests::stamped(&core_guest("version_one"), &cut.to_string());
            server.drop_in("v.wasm", again);
            server.wait_for_log_from(from, &["v.wasm: reloaded"]).await;
            server.wait_for_body("/version", "one").await;
        }
    }
    server.drop_in("v.wasm", whole);
    server.wait_for_body("/version", "two").await;
}
