//! The console as a listener: the clients and requests that it accepts, its address, and its answers while guests
//! misbehave.

use std::net::TcpListener;

use hitchy_tests::console::{find, page, probe};
use hitchy_tests::http::{Connection, ask, request};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, expect, guest};
use serde_json::json;

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_the_console_is_refused() {
    let server = probe().start().await;
    let with_host = async |host: &str| {
        let headers = [("host", host)];
        ask(server.console(), "GET", "/api/handlers", &headers, b"").await
    };
    let port = server.console().port();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]:9000",
        &format!("localhost:{port}"),
    ] {
        assert_eq!(with_host(host).await.status, 200, "{host}");
    }
    for host in [
        "evil.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test:9000",
    ] {
        let refused = with_host(host).await;
        expect::failure(&refused, 403);
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn the_console_is_only_read_and_says_what_there_is() {
    let server = probe().start().await;
    let asked =
        async |method: &str, target: &str| ask(server.console(), method, target, &[], b"").await;
    let posted = asked("POST", "/healthz").await;
    expect::failure(&posted, 405);
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
    let unknown = asked("GET", "/nothing").await;
    expect::failure(&unknown, 404);
    let head = asked("HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for refusal in [&posted, &unknown] {
        let guard = refusal.header("x-content-type-options");
        assert_eq!(guard, Some("nosniff"), "{refusal:?}");
    }
    let index = page(&server, "/").await;
    for listed in index["pages"].as_array().expect("pages") {
        let path = listed["path"].as_str().expect("a path");
        let answer = server.ask_console(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let guard = answer.header("x-content-type-options");
        assert_eq!(guard, Some("nosniff"), "{path}");
        assert!(
            unknown.text().contains(path),
            "{path} is named to who is lost"
        );
    }
    // The doors of the server are not available on the console.
    expect::error(&server.get("/healthz").await, 404);
}

#[tokio::test]
async fn g03_the_console_answers_while_guests_loop_and_all_permits_are_taken() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\nconcurrency = 16\nqueue = 0\ncpu = \"30s\"\ndeadline = \"30s\"\n[handler.faults]\nconcurrency = 16")
        .console()
        .start()
        .await;
    let mut loops = Vec::new();
    for _ in 0..16 {
        let mut connection = Connection::open(server.addr()).await;
        let looping = request("GET", "/fault/loop", &[], b"");
        connection.send(looping).await.expect("sent");
        loops.push(connection);
    }
    let all_run = async || {
        let running = server.metrics().await.value("hitchy_gate_running");
        running == 16.0
    };
    until("all of them loop", SOON, all_run).await;
    for _ in 0..20 {
        assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
        assert_eq!(page(&server, "/readyz").await["status"], "ready");
    }
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "faults.wasm").expect("served");
    assert_eq!(handler["calls"]["running"], 16);
}

#[tokio::test]
async fn a_server_whose_console_is_off_has_none() {
    let server = Server::prepare().start().await;
    let console = server
        .out()
        .find(0, |_, line| line.contains("console").then_some(()));
    assert_eq!(console, None, "nothing is said of it");
}

#[tokio::test]
async fn a_server_goes_without_its_console_when_another_has_the_usual_port() {
    // The port is taken either by this listener or by another program.
    let _taken = TcpListener::bind("127.0.0.1:9000");
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .usual_console()
        .start()
        .await;
    server
        .wait_for_log(&["console", "127.0.0.1:9000", "admin.listen"])
        .await;
    assert_eq!(server.get("/hello/x").await.status, 200);
}

#[tokio::test]
async fn a_console_that_was_asked_for_must_have_its_port() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address").to_string();
    let settings = format!("[admin]\nlisten = \"{addr}\"");
    let ended = Server::prepare()
        .usual_console()
        .settings(&settings)
        .fail()
        .await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    for word in [addr.as_str(), "in use", "admin.listen"] {
        assert!(
            ended.log.contains(word),
            "{word:?} is missing in: {}",
            ended.log
        );
    }
    let settings = "[admin]\nlisten = \"everywhere\"";
    let ended = Server::prepare()
        .usual_console()
        .settings(settings)
        .fail()
        .await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(
        ended.log.contains("admin.listen") && ended.log.contains("off"),
        "{}",
        ended.log
    );
}
