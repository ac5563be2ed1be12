//! Calls that go wrong: what the client gets, what the log says, and that nothing else is harmed.

use std::time::{Duration, Instant};

use hitchy_tests::http::Connection;
use hitchy_tests::{Server, expect, guest, official_client};
use serde_json::json;

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

#[tokio::test]
async fn r10_a_trap_is_500_with_the_id_that_the_log_has_and_nothing_else() {
    let mut server = faulty().await;
    for kind in ["trap", "divide", "panic", "exit"] {
        let id = expect::failure(&server.get(&format!("/fault/{kind}")).await, 500);
        server.wait_for_log(&["faults", &id]).await;
    }
    server.wait_for_log(&["the guest gave up"]).await;
    // The frames are readable: the function's name, demangled.
    server.wait_for_log(&["faults::deeds::commit"]).await;
    still_good(&mut server).await;
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
    still_good(&mut server).await;
}

#[tokio::test]
async fn r10_a_loop_ends_at_its_limit_with_504() {
    let mut server = faulty().await;
    let start = Instant::now();
    let answer = server.get("/fault/loop").await;
    expect::failure(&answer, 504);
    assert!(
        start.elapsed() < Duration::from_millis(1500),
        "after {:?}",
        start.elapsed()
    );
    still_good(&mut server).await;
}

#[tokio::test]
async fn r10_a_call_that_waits_too_long_ends_at_the_deadline_with_504() {
    let mut server = faulty().await;
    let start = Instant::now();
    let id = expect::failure(&server.get("/fault/sleep/20000").await, 504);
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(900)..Duration::from_millis(1500)).contains(&took),
        "after {took:?}"
    );
    server.wait_for_log(&["faults", &id]).await;
    still_good(&mut server).await;
}

#[tokio::test]
async fn g07_a_call_that_eats_memory_is_500() {
    let mut server = faulty().await;
    for _ in 0..3 {
        expect::failure(&server.get("/fault/memory/10000").await, 500);
    }
    // What fits is given.
    assert_eq!(server.get("/fault/memory/8").await.text(), "8");
    still_good(&mut server).await;
}

#[tokio::test]
async fn g13_an_unusable_answer_is_502() {
    let mut server = faulty().await;
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
        let answer = server.get(&format!("/fault/{fault}")).await;
        assert_eq!(answer.status, 502, "{fault}: {answer:?}");
        expect::failure(&answer, 502);
        assert_eq!(
            answer.header("set-cookie"),
            None,
            "{fault} split the answer"
        );
    }
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
async fn r09_a_failure_that_a_guest_returns_is_the_clients_answer() {
    let server = faulty().await;
    let wish = json!({ "code": 409, "message": "taken already", "data": r#"{"field":"name"}"# });
    let answer = server.post("/fail", &wish).await;
    let id = expect::failure(&answer, 409);
    assert_eq!(
        answer.json(),
        json!({ "error": "taken already", "code": 409, "id": id, "data": { "field": "name" } })
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
async fn r10_more_calls_than_fit_are_503_with_retry_after() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nconcurrency = 4\nqueue = 2\nqueue-wait = \"200ms\"")
        .start()
        .await;
    let start = Instant::now();
    let ask = || async {
        let answer = server.get("/slow/1500").await;
        (answer, start.elapsed())
    };
    let answers = futures_util::future::join_all((0..16).map(|_| ask())).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(answer, _)| answer.status == 200);
    assert!(
        (1..=4).contains(&good.len()),
        "{} were answered",
        good.len()
    );
    for (answer, after) in bad {
        expect::failure(&answer, 503);
        let retry: u32 = answer
            .header("retry-after")
            .and_then(|after| after.parse().ok())
            .expect("retry-after in seconds");
        assert!((1..=3).contains(&retry), "{retry}");
        assert!(
            after < Duration::from_millis(1200),
            "refused only after {after:?}"
        );
    }
    assert_eq!(server.get("/hello/after").await.status, 200);
}

#[tokio::test]
async fn policies_that_trap_or_fail_fail_closed() {
    let mut server = faulty().await;
    expect::failure(&server.get("/traps/x").await, 500);
    let answer = server.get("/fails/x").await;
    expect::failure(&answer, 403);
    assert_eq!(answer.json()["data"], json!({ "why": "policy" }));
    // A trapping policy stands even before a path that no route has.
    expect::failure(&server.get("/fault-before/nobody").await, 500);
    // One that runs after the answer changes nothing of it.
    let before = server.log().len();
    assert_eq!(
        server.get("/fault/after-trap").await.text(),
        "no fault after-trap"
    );
    server.wait_for_log_from(before, &["faults"]).await;
    still_good(&mut server).await;
}

/// The same faults behind an event: the ack always comes.
#[tokio::test]
async fn c04_a_listener_that_fails_acks_an_error_with_an_id() {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = faulty().await;
    let socket = node.connect(&server, "/").await;
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

#[tokio::test]
async fn c12_a_connection_hook_that_fails_refuses_the_connection() {
    let Some(node) = official_client().await else {
        return;
    };
    let mut server = faulty().await;
    for kind in ["trap", "loop", "panic", "teapot"] {
        let refused = node
            .connect_with(&server, "/faults", json!({ "auth": { "kind": kind } }))
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
