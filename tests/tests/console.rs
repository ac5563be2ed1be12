//! The console: what an operator's tools are told of the server, and by whom they may be told.

use std::net::TcpListener;

use hitchy_tests::http::{Connection, ask, request};
use hitchy_tests::raw::RawClient;
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, expect, guest, scripted};
use serde_json::{Value, json};

fn probe() -> Plan {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .console()
}

/// The JSON of a page of the console.
async fn page(server: &Server, target: &str) -> Value {
    let answer = server.ask_console(target).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// One of a list of objects, by the value of one of its fields.
fn find<'a>(list: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    let list = list.as_array().expect("a list");
    list.iter().find(|one| one[field] == value)
}

/// Waits until `/readyz` gives this status, with this word.
async fn wait_for_readiness(server: &Server, code: u16, status: &str) -> Value {
    let look = async || {
        let answer = server.ask_console("/readyz").await;
        let is_it = answer.status == code && answer.json()["status"] == status;
        is_it.then(|| answer.json())
    };
    eventually(&format!("/readyz says {status}"), SOON * 3, look).await
}

#[tokio::test]
async fn a_server_is_ready_when_it_has_read_its_folder_and_healthy_before() {
    let mut plan = Server::prepare().console();
    for number in 0..4 {
        let script = format!("name slow{number}\nsleep 700\nroute GET /{number}");
        plan = plan.handler(&format!("slow{number}.wasm"), scripted(&script));
    }
    let server = plan.start_at_once().await;
    let answer = server.ask_console("/readyz").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["status"], "starting");
    assert!(answer.json()["reason"].is_string(), "{answer:?}");
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
    wait_for_readiness(&server, 200, "ready").await;
    assert_eq!(server.get("/0").await.status, 200);
}

#[tokio::test]
async fn a_server_without_a_required_handler_is_not_ready_and_says_which() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .console()
        .start()
        .await;
    let unready = wait_for_readiness(&server, 503, "unguarded").await;
    assert_eq!(unready["missing"], json!(["guard"]));
    let health = page(&server, "/healthz").await;
    assert_eq!(health["status"], "degraded", "a restart would not mend it");
    assert!(
        health["problems"][0]
            .as_str()
            .is_some_and(|it| it.contains("guard.wasm"))
    );
    assert_eq!(
        page(&server, "/api/handlers").await["missing"],
        json!(["guard"])
    );
    server.drop_in("guard.wasm", scripted("name guard\nroute GET /guard"));
    wait_for_readiness(&server, 200, "ready").await;
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
}

#[tokio::test]
async fn r16_a_server_that_drains_says_so_and_answers_to_the_end() {
    let mut server = probe().start().await;
    let mut busy = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/5000", &[], b"");
    busy.send(slow).await.expect("sent");
    let running = "hitchy_calls_running{handler=\"probe.wasm\"}";
    let runs = async || server.metrics().await.value(running) == 1.0;
    until("the slow call runs", SOON, runs).await;
    server.terminate();
    wait_for_readiness(&server, 503, "draining").await;
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
    let answer = busy.read("GET").await.expect("it is answered");
    assert_eq!(answer.json(), json!({ "slept": 5000 }));
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn numbers_move_as_calls_are_made_and_fail() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\ncpu = \"100ms\"\ndeadline = \"700ms\"\nmemory = \"32MiB\"")
        .console()
        .start()
        .await;
    let faults = |outcome: &str| {
        format!(
            "hitchy_calls_total{{handler=\"faults.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        )
    };
    assert_eq!(server.metrics().await.value(&faults("trap")), 0.0);
    for (fault, status, outcome) in [
        ("trap", 500, "trap"),
        ("memory/10000", 500, "memory"),
        ("loop", 504, "cpu"),
        ("sleep/20000", 504, "deadline"),
        ("status/99", 502, "bad_answer"),
    ] {
        let answer = server.get(&format!("/fault/{fault}")).await;
        let id = expect::failure(&answer, status);
        assert_eq!(
            server.metrics().await.value(&faults(outcome)),
            1.0,
            "{fault}"
        );
        let list = page(&server, "/api/handlers").await;
        let handler = find(&list["handlers"], "name", "faults.wasm").expect("served");
        assert_eq!(handler["lastFailure"]["id"], id.as_str(), "{handler}");
    }
    let taken = json!({ "code": 409, "message": "taken" });
    assert_eq!(server.post("/fail", &taken).await.status, 409);
    assert_eq!(server.get("/hello/x").await.status, 200);
    assert_eq!(server.get("/nobody").await.status, 404);

    let metrics = server.metrics().await;
    let probe = |outcome: &str| {
        metrics.value(&format!(
            "hitchy_calls_total{{handler=\"probe.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(
        (probe("ok"), probe("failure"), probe("trap")),
        (1.0, 1.0, 0.0)
    );
    let answers = |class: &str| {
        metrics.value(&format!(
            "hitchy_requests_total{{door=\"http\",status=\"{class}\"}}"
        ))
    };
    assert_eq!(
        (answers("2xx"), answers("4xx"), answers("5xx")),
        (1.0, 2.0, 5.0)
    );
    let ran = |what: &str| {
        metrics.value(&format!(
            "hitchy_call_duration_seconds_{what}{{handler=\"faults.wasm\"}}"
        ))
    };
    assert_eq!(ran("count"), 5.0);
    assert!(
        ran("sum") > 0.7,
        "one took until the deadline: {}",
        ran("sum")
    );
    assert_eq!(metrics.value("hitchy_gate_running"), 0.0);
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);
    assert!(metrics.value("process_open_fds") > 3.0);

    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "faults.wasm").expect("served");
    let calls = &handler["calls"];
    assert_eq!((&calls["total"], &calls["failed"]), (&json!(5), &json!(5)));
    assert_eq!(calls["outcomes"]["cpu"], 1);
    let last = &handler["lastFailure"];
    assert_eq!(last["what"], "GET /fault/status/99");
    assert!(
        last["error"]
            .as_str()
            .is_some_and(|error| error.contains("unusable answer"))
    );
}

#[tokio::test]
async fn calls_that_are_turned_away_and_calls_whose_client_goes_are_counted() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[limits]\nconcurrency = 1\nqueue = 0")
        .console()
        .start()
        .await;
    let calls = |outcome: &str| {
        format!(
            "hitchy_calls_total{{handler=\"probe.wasm\",kind=\"request\",outcome=\"{outcome}\"}}"
        )
    };
    let mut busy = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/9000", &[], b"");
    busy.send(slow).await.expect("sent");
    let is_busy = async || server.metrics().await.value("hitchy_gate_running") == 1.0;
    until("the slow call runs", SOON, is_busy).await;
    expect::failure(&server.get("/hello/x").await, 503);
    assert_eq!(server.metrics().await.value(&calls("overloaded")), 1.0);
    assert_eq!(
        page(&server, "/readyz").await["status"],
        "ready",
        "it is only busy"
    );
    drop(busy);
    let is_counted = async || server.metrics().await.value(&calls("aborted")) == 1.0;
    until("the call without a client is counted", SOON, is_counted).await;
}

#[tokio::test]
async fn counts_survive_a_reload_of_the_same_file() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .console()
        .start()
        .await;
    let ok = "hitchy_calls_total{handler=\"v.wasm\",kind=\"request\",outcome=\"ok\"}";
    for _ in 0..3 {
        assert_eq!(server.get("/version").await.text(), "one");
    }
    server.drop_in("v.wasm", guest("version_two"));
    server.wait_for_body("/version", "two").await;
    let metrics = server.metrics().await;
    assert!(metrics.value(ok) >= 4.0, "{metrics:?}");
    assert_eq!(
        metrics.value("hitchy_handler_generation{handler=\"v.wasm\"}"),
        2.0
    );
    let reloads =
        |result: &str| metrics.value(&format!("hitchy_reloads_total{{result=\"{result}\"}}"));
    until("the reload is told", SOON, async || {
        let metrics = server.metrics().await;
        metrics.value("hitchy_reloads_total{result=\"reloaded\"}") == 1.0
    })
    .await;
    assert_eq!((reloads("loaded"), reloads("refused")), (1.0, 0.0));
    // A new bound on its calls is a reload, too.
    let before = metrics.value(ok);
    server.drop_in("v.toml", "concurrency = 3");
    server
        .wait_for_log(&["v.wasm: reloaded", "generation 3"])
        .await;
    assert!(server.metrics().await.value(ok) >= before);
}

#[tokio::test]
async fn a_refused_file_is_shown_with_its_sentence_and_with_what_still_serves() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .console()
        .start()
        .await;
    server.drop_in("v.wasm", "no handler at all");
    server.drop_in("other.wasm", "nor this");
    let both = async || {
        let list = page(&server, "/api/handlers").await;
        (list["refused"].as_array().map(Vec::len) == Some(2)).then_some(list)
    };
    let list = eventually("both are refused", SOON, both).await;
    let refused = |file: &str| find(&list["refused"], "file", file).expect("refused");
    assert_eq!(refused("v.wasm")["servingGeneration"], 1);
    assert_eq!(refused("other.wasm")["servingGeneration"], Value::Null);
    let sentence = refused("v.wasm")["error"].as_str().unwrap_or_default();
    assert!(sentence.contains("this is no WebAssembly"), "{sentence}");
    let handler = find(&list["handlers"], "name", "v.wasm").expect("still served");
    assert_eq!(handler["generation"], 1);
    let health = page(&server, "/healthz").await;
    assert_eq!(health["status"], "degraded");
    let problems = health["problems"].to_string();
    assert!(
        problems.contains("still serving generation 1"),
        "{problems}"
    );

    let events = page(&server, "/api/reloads").await;
    let refusals = events["reloads"].as_array().expect("a list");
    let kinds: Vec<_> = refusals.iter().map(|event| &event["what"]).collect();
    assert_eq!(kinds, ["refused", "refused", "loaded"], "the newest first");
    let loaded = &refusals[2];
    assert_eq!(
        (&loaded["file"], &loaded["generation"]),
        (&json!("v.wasm"), &json!(1))
    );
    assert_eq!(loaded["hash"], handler["hash"]);
    assert!(
        loaded["compileMs"].is_u64() && loaded["error"].is_null(),
        "{loaded}"
    );
    assert!(
        loaded["time"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z')),
        "{loaded}"
    );
    let event = find(&events["reloads"], "file", "v.wasm").expect("told");
    assert_eq!(event["error"], sentence);

    server.drop_in("v.wasm", guest("version_two"));
    server.remove("other.wasm");
    let is_well = async || page(&server, "/healthz").await == json!({ "status": "ok" });
    until("nothing is wrong any more", SOON, is_well).await;
    // They are told when the table is served.
    for what in ["reloaded", "removed"] {
        let is_told = async || {
            let events = page(&server, "/api/reloads").await;
            find(&events["reloads"], "what", what).is_some()
        };
        until(what, SOON, is_told).await;
    }
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_told_and_do_not_fail_the_probe() {
    let server = probe()
        .settings("[limits]\ndeadline = \"5s\"")
        .start()
        .await;
    let settings = server.dir().join("hitchy.toml");
    std::fs::write(&settings, "[limits]\ndedline = \"5s\"").expect("written");
    let told = async || {
        let health = page(&server, "/healthz").await;
        health["problems"].to_string().contains("dedline")
    };
    until("the settings are told to be wrong", SOON, told).await;
    assert_eq!(page(&server, "/readyz").await["status"], "ready");
}

#[tokio::test]
async fn routes_are_shown_by_path_and_handlers_with_all_they_declare() {
    let script = "name all\nroute POST /b\nroute GET /a/{id}\nroute * /b\nbefore * /a\nafter GET /a\nlistener /chat say\nconnection /chat";
    let server = Server::prepare()
        .handler("sub/all.wasm", scripted(script))
        .console()
        .start()
        .await;
    let routes = page(&server, "/api/routes").await;
    let route = |method: &str, path: &str| json!({ "path": path, "method": method, "handler": "sub/all.wasm" });
    assert_eq!(
        routes["routes"],
        json!([
            route("GET", "/a/{id}"),
            route("*", "/b"),
            route("POST", "/b")
        ])
    );
    let list = page(&server, "/api/handlers").await;
    let handler = find(&list["handlers"], "name", "sub/all.wasm").expect("served");
    let before = json!({ "stage": "before", "method": "*", "prefix": "/a" });
    let after = json!({ "stage": "after", "method": "GET", "prefix": "/a" });
    assert_eq!(handler["policies"], json!([before, after]));
    let say = json!({ "namespace": "/chat", "event": "say" });
    assert_eq!(handler["listeners"], json!([say]));
    assert_eq!(handler["hooks"], json!(["/chat"]));
    assert_eq!(handler["limits"]["deadlineMs"], 10_000);
    assert_eq!(handler["lastFailure"], Value::Null);
}

#[tokio::test]
async fn sockets_are_counted_in_their_namespaces_while_they_are_connected() {
    let server = probe().start().await;
    let count = async |namespace: &str| {
        let sockets = page(&server, "/api/sockets").await;
        let found = find(&sockets["namespaces"], "namespace", namespace);
        found.map(|one| one["sockets"].as_u64().expect("a number"))
    };
    assert_eq!(count("/").await, Some(0));
    let mut websocket = RawClient::connect("websocket", server.addr(), "/").await;
    websocket.enter("/chat", "").await.expect("let in");
    let polling = RawClient::connect("polling", server.addr(), "/").await;
    assert_eq!((count("/").await, count("/chat").await), (Some(2), Some(1)));
    let sockets = page(&server, "/api/sockets").await;
    assert_eq!(sockets["sockets"], 3);
    let sessions = json!({ "open": 2, "websocket": 1, "polling": 1, "unclaimed": 0 });
    assert_eq!(sockets["sessions"], sessions);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_sockets{namespace=\"/\"}"), 2.0);
    assert_eq!(metrics.value("hitchy_sessions{transport=\"polling\"}"), 1.0);
    assert_eq!(
        metrics.value("hitchy_connects_total{outcome=\"accepted\"}"),
        3.0
    );

    websocket.ask("7", "[\"echo\",1]").await.expect("an ack");
    assert_eq!(
        server
            .metrics()
            .await
            .value("hitchy_events_total{outcome=\"handled\"}"),
        1.0
    );
    websocket.send("41/chat,").await.expect("sent");
    until("one has left /chat", SOON, async || {
        count("/chat").await == Some(0)
    })
    .await;
    assert_eq!(count("/").await, Some(2));
    drop(websocket);
    until("the websocket is gone", SOON, async || {
        count("/").await == Some(1)
    })
    .await;
    let mut polling = polling;
    polling.send("1").await.expect("sent");
    until("all are gone", SOON, async || {
        let sockets = page(&server, "/api/sockets").await;
        sockets["sockets"] == 0 && sockets["sessions"]["open"] == 0
    })
    .await;
}

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
    // The doors of the server are not those of the console.
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
    // Whoever has it, it is taken.
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
