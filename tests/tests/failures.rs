//! Calls that fail: the answer to the client, the lines in the log, and the isolation of other calls.

use std::time::{Duration, Instant};

use hitchy_tests::clauses::Way;
use hitchy_tests::http::Connection;
use hitchy_tests::{Client, Server, clauses, expect, guest, official_client};
use serde_json::json;

clauses! {
    http request_websocket request_polling:
        r10_a_trap_is_500_with_the_id_that_the_log_has_and_nothing_else
        r10_a_loop_ends_at_its_limit_with_504
        r10_a_call_that_waits_too_long_ends_at_the_deadline_with_504
        r10_an_unusable_answer_is_502
        r10_a_failure_that_a_guest_returns_is_the_answer
        r10_more_calls_than_fit_are_503_with_retry_after;
    event_websocket event_polling:
        c04_a_listener_that_fails_acks_an_error_with_an_id
        c12_a_connection_hook_that_fails_refuses_the_connection;
}

const LIMITS: &str = r#"
[limits]
memory = "32MiB"
deadline = "1s"
cpu = "300ms"
"#;

async fn faulty() -> Server {
    Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("probe.wasm", guest("probe"))
        .settings(LIMITS)
        .start()
        .await
}

async fn still_good(server: &mut Server) {
    assert_eq!(
        server.get("/hello/you").await.json(),
        json!({ "hello": "you" })
    );
    server.assert_unharmed();
}

async fn failing(way: Way) -> Option<(Server, Client)> {
    let server = faulty().await;
    let client = Client::open(way, &server).await?;
    Some((server, client))
}

async fn r10_a_trap_is_500_with_the_id_that_the_log_has_and_nothing_else(way: Way) {
    let Some((mut server, client)) = failing(way).await else {
        return;
    };
    for kind in ["trap", "divide", "panic", "exit", "recurse", "memory/10000"] {
        let answer = client.get(&format!("/fault/{kind}")).await;
        let sentence = expect::refusal(&answer, 500);
        assert_eq!(sentence, "internal server error");
        let id = expect::of_call(&answer, 500);
        server.wait_for_log(&["faults", &id]).await;
    }
    server.wait_for_log(&["the guest gave up"]).await;
    // The frames are readable, because the names of functions are demangled.
    server.wait_for_log(&["faults::deeds::commit"]).await;
    still_good(&mut server).await;
}

async fn r10_a_loop_ends_at_its_limit_with_504(way: Way) {
    let Some((mut server, client)) = failing(way).await else {
        return;
    };
    let start = Instant::now();
    expect::refusal(&client.get("/fault/loop").await, 504);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(1500), "after {took:?}");
    still_good(&mut server).await;
}

async fn r10_a_call_that_waits_too_long_ends_at_the_deadline_with_504(way: Way) {
    let Some((mut server, client)) = failing(way).await else {
        return;
    };
    let start = Instant::now();
    let answer = client.get("/fault/sleep/20000").await;
    let took = start.elapsed();
    expect::refusal(&answer, 504);
    let about_a_second = Duration::from_millis(900)..Duration::from_millis(2000);
    assert!(about_a_second.contains(&took), "after {took:?}");
    let id = expect::of_call(&answer, 504);
    server.wait_for_log(&["faults", &id]).await;
    still_good(&mut server).await;
}

async fn r10_an_unusable_answer_is_502(way: Way) {
    let Some((mut server, client)) = failing(way).await else {
        return;
    };
    for fault in [
        "status/0",
        "status/99",
        "status/101",
        "status/199",
        "status/600",
        "status/1000",
        "header-value",
        "header-name",
        "header-empty",
        "header-nul",
        "headers/65",
        "headers/100000",
        "header-long/40000",
        "body/5000000",
        "body/30000000",
        "failure/200",
        "failure/99",
        "failure/600",
    ] {
        let answer = client.get(&format!("/fault/{fault}")).await;
        assert_eq!(answer.status, 502, "{fault}");
        expect::refusal(&answer, 502);
        assert_eq!(answer.header("set-cookie"), None, "{fault} split it");
    }
    still_good(&mut server).await;
}

async fn r10_a_failure_that_a_guest_returns_is_the_answer(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let wish = json!({ "code": 409, "message": "taken already", "data": r#"{"field":"name"}"# });
    let answer = client.post("/fail", wish).await;
    let id = expect::of_call(&answer, 409);
    let expected =
        json!({ "error": "taken already", "code": 409, "id": id, "data": { "field": "name" } });
    assert_eq!(answer.body, expected);
}

async fn r10_more_calls_than_fit_are_503_with_retry_after(way: Way) {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nconcurrency = 4\nqueue = 2\nqueue-wait = \"200ms\"")
        .start()
        .await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let came = client
        .ask_all(&vec![json!({ "url": "/slow/1500" }); 16])
        .await;
    let good = came.iter().filter(|(_, answer)| answer.status == 200);
    let good = good.count();
    assert!((1..=4).contains(&good), "{good} were answered");
    // Refused calls do not wait for the others.
    for (_, answer) in &came[..16 - good] {
        expect::refusal(answer, 503);
        let retry = answer.header("retry-after");
        let retry = retry.and_then(|after| after.parse::<u32>().ok());
        let retry = retry.expect("retry-after in seconds");
        assert!((1..=3).contains(&retry), "{retry}");
    }
    assert_eq!(client.get("/hello/after").await.status, 200);
}

#[tokio::test]
async fn g02_a_long_panic_message_is_cut_in_the_log() {
    let mut server = faulty().await;
    expect::failure(&server.get("/fault/panic-long/1000000").await, 500);
    still_good(&mut server).await;
    let longest = server
        .log()
        .all()
        .iter()
        .map(String::len)
        .max()
        .unwrap_or_default();
    assert!(longest < 20 * 1024, "a line of {longest} bytes");
}

#[tokio::test]
async fn g09_endless_recursion_is_500() {
    let mut server = faulty().await;
    for _ in 0..20 {
        expect::failure(&server.get("/fault/recurse/1").await, 500);
    }
    // The trap itself only reports that an address was out of bounds.
    let id = expect::failure(&server.get("/fault/recurse/1").await, 500);
    let words = ["stack", "64 KiB", "-zstack-size", "faults::deeds"];
    let line = server.wait_for_log(&[&id, "trap: "]).await;
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in: {line}");
    }
    let id = expect::failure(&server.get("/fault/trap").await, 500);
    let line = server.wait_for_log(&[&id, "trap: "]).await;
    assert!(!line.contains("-zstack-size"), "another trap: {line}");
    still_good(&mut server).await;
}

#[tokio::test]
async fn g07_a_call_that_eats_memory_is_500() {
    let mut server = faulty().await;
    for _ in 0..3 {
        expect::failure(&server.get("/fault/memory/10000").await, 500);
    }
    // A smaller amount of memory is granted.
    assert_eq!(server.get("/fault/memory/8").await.text(), "8");
    still_good(&mut server).await;
}

#[tokio::test]
async fn g13_framing_headers_of_a_guest_are_dropped_and_the_connection_stays_in_step() {
    let server = faulty().await;
    let mut connection = Connection::open(server.addr()).await;
    let answer = connection.ask("GET", "/fault/framing", &[], b"").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "a body of its own length")
    );
    assert_eq!(answer.headers_named("content-length"), ["24"]);
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("x-kept"), Some("yes"));
    assert_eq!(
        connection.ask("GET", "/hello/next", &[], b"").await.json(),
        json!({ "hello": "next" })
    );
}

#[tokio::test]
async fn g13_a_body_that_only_claims_to_be_json_goes_through_http_as_it_is() {
    let server = faulty().await;
    let answer = server.get("/fault/json-lie").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "{this is not json")
    );
}

#[tokio::test]
async fn g15_g17_emits_are_bounded_and_checked() {
    let mut server = faulty().await;
    assert_eq!(
        server.get("/fault/emits/1000000").await.text(),
        "256 sent, then 429"
    );
    assert_eq!(
        server.get("/fault/emit-no-json").await.text(),
        "refused 400"
    );
    assert_eq!(
        server.get("/fault/emit-no-array").await.text(),
        "refused 400"
    );
    assert_eq!(
        server.get("/fault/emit-placeholder").await.text(),
        "refused 400"
    );
    assert_eq!(
        server.get("/fault/emit-deep/200").await.text(),
        "refused 400"
    );
    assert_eq!(
        server.get("/fault/emit-deep/100000").await.text(),
        "refused 400"
    );
    assert_eq!(server.get("/fault/emit-deep/100").await.text(), "sent");
    assert_eq!(
        server.get("/fault/emit-large/2000000").await.text(),
        "refused 413"
    );
    still_good(&mut server).await;
}

#[tokio::test]
async fn g18_nothing_that_a_call_leaves_in_memory_is_seen_by_another() {
    let server = faulty().await;
    let mut connection = Connection::open(server.addr()).await;
    for number in 1..500 {
        let answer = connection
            .ask("GET", &format!("/fault/secret/{number}"), &[], b"")
            .await;
        assert_eq!(answer.text(), "0");
    }
}

#[tokio::test]
async fn g21_what_guests_print_is_cut_escaped_and_one_record_a_line() {
    let mut server = faulty().await;
    assert_eq!(server.get("/fault/print/1000000").await.status, 200);
    assert_eq!(server.get("/fault/print-tricks").await.status, 200);
    server.wait_for_log(&["second line"]).await;
    for line in server.log().all() {
        assert!(line.len() < 20 * 1024, "a line of {} bytes", line.len());
        assert!(!line.contains('\u{1b}') && !line.contains('\r'), "{line:?}");
        assert!(
            !line.starts_with("2026-01-01 ERROR forged") && !line.starts_with("second line"),
            "{line:?}"
        );
    }
    still_good(&mut server).await;
}

#[tokio::test]
async fn policies_that_trap_or_fail_fail_closed() {
    let mut server = faulty().await;
    expect::failure(&server.get("/traps/x").await, 500);
    let answer = server.get("/fails/x").await;
    expect::failure(&answer, 403);
    assert_eq!(answer.json()["data"], json!({ "why": "policy" }));
    // A policy that traps also refuses paths without a route.
    expect::failure(&server.get("/fault-before/nobody").await, 500);
    // A policy that runs after the answer does not change the answer.
    let before = server.log().len();
    assert_eq!(
        server.get("/fault/after-trap").await.text(),
        "no fault after-trap"
    );
    server.wait_for_log_from(before, &["faults"]).await;
    still_good(&mut server).await;
}

/// Runs the same faults in a listener. The ack always arrives.
async fn c04_a_listener_that_fails_acks_an_error_with_an_id(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = faulty().await;
    let options = json!({ "transports": [way.transport()] });
    let socket = node.connect_with(&server, "/", options).await;
    let socket = socket.expect("let in");
    for (kind, code) in [
        (json!(["trap"]), 500),
        (json!(["panic"]), 500),
        (json!(["recurse", 1]), 500),
        (json!(["memory", 10_000]), 500),
        (json!(["loop"]), 504),
        (json!(["sleep", 20_000]), 504),
        (json!(["ack-no-json"]), 502),
        (json!(["ack-no-array"]), 502),
        (json!(["ack-deep", 1000]), 502),
        (json!(["ack-placeholder"]), 502),
        (json!(["ack-attachments", 11]), 502),
        (json!(["ack-large", 5_000_000]), 502),
        (json!(["failure", 200]), 502),
        (json!(["failure", 404]), 404),
    ] {
        let ack = socket.ask("fault", kind.clone()).await;
        let error = expect::failed_ack(&ack, code);
        let id = error["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{kind}: {ack}"));
        if code == 500 {
            server.wait_for_log(&["faults", id]).await;
        }
    }
    assert_eq!(
        socket.ask("echo", json!(["still", "here"])).await,
        json!(["still", "here"])
    );
    still_good(&mut server).await;
}

async fn c12_a_connection_hook_that_fails_refuses_the_connection(way: Way) {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = faulty().await;
    for kind in ["trap", "loop", "panic", "teapot"] {
        let refused = node
            .connect_with(
                &server,
                "/faults",
                json!({ "transports": [way.transport()], "auth": { "kind": kind } }),
            )
            .await;
        let message = refused.err().map(|refused| refused.message);
        assert!(message.is_some(), "{kind} was let in");
        let message: String = message.unwrap_or_default();
        assert!(
            !message.contains("wasm") && !message.contains("unreachable"),
            "{message}"
        );
    }
    still_good(&mut server).await;
}
