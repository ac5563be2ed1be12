//! Handlers that call other servers: what the operator allows, what a call may use, and how errors reach everybody.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hitchy_tests::covered::{Part, covers};
use hitchy_tests::guests::{example, imports};
use hitchy_tests::http::{Answer, Connection, request};
use hitchy_tests::other_server::OtherServer;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};

/// Starts a server whose handler may call `other`.
async fn granted(other: &OtherServer, settings: &str) -> Server {
    Server::prepare()
        .handler("calling.wasm", guest("calling"))
        .handler("calling.toml", other.entry() + settings)
        .console()
        .start()
        .await
}

async fn call(server: &Server, url: &str) -> Value {
    server.post("/call", &json!({ "url": url })).await.json()
}

fn burst(other: &OtherServer, count: usize) -> Value {
    let authority = format!("localhost:{}", other.addr.port());
    json!({ "authority": authority, "count": count })
}

async fn outcome(server: &Server, outcome: &str) -> f64 {
    let series = format!("hitchy_outgoing_requests_total{{outcome=\"{outcome}\"}}");
    server.metrics().await.value(&series)
}

#[tokio::test]
async fn d06_a_server_that_is_not_granted_is_refused_with_the_line_to_add() {
    let other = OtherServer::start().await;
    let server = Server::prepare()
        .handler("api/calling.wasm", guest("calling"))
        .console()
        .start()
        .await;
    let refused = call(&server, &other.url("/")).await;
    assert_eq!(refused["kind"], "Refused", "{refused}");
    let text = refused["error"].as_str().expect("a text");
    assert!(
        text.contains(&other.url("/")) && text.contains("outbound"),
        "{text}"
    );
    let add = format!(
        "add \"{}\" to `outbound` of api/calling.toml",
        other.url("")
    );
    let line = server
        .wait_for_log(&["api/calling.wasm", "was refused", &add])
        .await;
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(outcome(&server, "refused").await, 1.0);
    let asked = server.post("/ask", &json!({ "url": other.url("/") })).await;
    assert_eq!(asked.status, 500, "{}", asked.text());
    assert_eq!(other.counts.connections.load(Ordering::SeqCst), 0);

    // The line is applied while the server runs, and so is its removal.
    server.drop_in("api/calling.toml", other.entry());
    until("the grant is applied", SOON, async || {
        call(&server, &other.url("/")).await["text"] == "hello"
    })
    .await;
    server.drop_in(
        "api/calling.toml",
        "outbound = [\"https://*.example.org:8443\"]",
    );
    until("the grant is withdrawn", SOON, async || {
        call(&server, &other.url("/")).await["kind"] == "Refused"
    })
    .await;
}

#[tokio::test]
async fn d06_the_log_says_what_is_wrong_with_a_url_and_no_password() {
    let other = OtherServer::start().await;
    let server = granted(&other, "").await;
    for (url, cause) in [
        ("http://user:sesame@localhost/", "user name"),
        ("http://localhost:0/", "port"),
        ("http://127.1/", "usual spelling"),
    ] {
        let from = server.log().len();
        let answer = call(&server, url).await;
        assert!(answer["kind"].is_string(), "{answer}");
        let line = server
            .wait_for_log_from(from, &["was refused, because", cause])
            .await;
        assert!(!line.contains("sesame"), "{line}");
    }
}

#[tokio::test]
async fn d06_a_grant_is_for_one_handler_and_one_origin() {
    let (other, third) = (OtherServer::start().await, OtherServer::start().await);
    let server = granted(&other, "").await;
    for url in [
        third.url("/"),
        format!("http://127.0.0.1:{}/", other.addr.port()),
        format!("https://localhost:{}/", other.addr.port()),
        format!("http://2130706433:{}/", other.addr.port()),
        format!("http://localhost:{}@{}/", other.addr.port(), third.addr),
        format!("http://x.localhost:{}/", other.addr.port()),
    ] {
        let refused = call(&server, &url).await;
        assert_eq!(refused["kind"], "Refused", "{url}: {refused}");
    }
    assert_eq!(other.counts.connections.load(Ordering::SeqCst), 0);
    assert_eq!(third.counts.connections.load(Ordering::SeqCst), 0);
    for url in ["localhost", "ftp://localhost/", "http://local host/"] {
        let invalid = call(&server, url).await;
        assert_eq!(invalid["kind"], "Invalid", "{url}: {invalid}");
    }
    server.drop_in("second.wasm", guest("scripted"));
    assert_eq!(call(&server, &other.url("/")).await["text"], "hello");
}

#[tokio::test]
async fn i12_4_headers_and_bodies_are_passed_on_and_the_connection_is_kept_across_calls() {
    let other = OtherServer::start().await;
    let server = granted(&other, "").await;
    for _ in 0..5 {
        let step = json!({
            "method": "POST",
            "url": other.url("/echo?a=b"),
            "headers": { "x-test": "yes" },
            "body": "the body",
        });
        let told = server.post("/call", &step).await.json();
        let text = told["text"].as_str().expect("a text");
        assert!(text.starts_with("POST /echo?a=b HTTP/1.1\r\n"), "{text}");
        let host = format!("host: localhost:{}\r\n", other.addr.port());
        for part in [
            &host,
            "x-test: yes\r\n",
            "user-agent: hitchy-guest/",
            "the body",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    assert_eq!(other.counts.connections.load(Ordering::SeqCst), 1);
    let host = json!({ "url": other.url("/echo"), "headers": { "host": "evil.test" } });
    let refused = server.post("/call", &host).await.json();
    assert_eq!(refused["kind"], "Invalid", "{refused}");
    assert_eq!(outcome(&server, "answered").await, 5.0);
    covers("rust", &[Part::Outgoing]);
}

#[tokio::test]
async fn i12_4_the_question_mark_answers_502_and_504_and_the_log_has_the_cause() {
    let other = OtherServer::start().await;
    let server = granted(&other, "outbound-time = \"300ms\"\n").await;
    let ask = async |path: &str| {
        server
            .post("/ask", &json!({ "url": other.url(path) }))
            .await
    };
    let answered = |answer: &Answer| (answer.status, answer.json()["error"].clone());
    assert_eq!(ask("/").await.text(), "hello");
    let failed = (502, json!("another server failed"));
    assert_eq!(answered(&ask("/status/503").await), failed);
    server
        .wait_for_log(&["/status/503", "the server answered 503"])
        .await;
    let late = (504, json!("another server did not answer in time"));
    assert_eq!(answered(&ask("/silent").await), late);
    server
        .wait_for_log(&["/silent", "did not answer in time"])
        .await;
    assert_eq!(answered(&ask("/part").await), late);
    other.open(0).await;
    drop(other);
}

#[tokio::test]
async fn g19_a_silent_server_ends_with_the_call_and_costs_it_no_processor_time() {
    let other = OtherServer::start().await;
    let server = granted(&other, "deadline = \"1s\"\ncpu = \"100ms\"\n").await;
    let answer = server
        .post("/call", &json!({ "url": other.url("/silent") }))
        .await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    other.open(0).await;
    assert_eq!(call(&server, &other.url("/late")).await["text"], "hello");
}

#[tokio::test]
async fn g19_a_client_that_leaves_and_a_guest_that_leaves_or_traps_close_the_connections() {
    let other = OtherServer::start().await;
    let server = granted(&other, "").await;
    let mut client = Connection::open(server.addr()).await;
    let body = json!({ "url": other.url("/silent") }).to_string();
    let headers = [("content-type", "application/json")];
    let sent = request("POST", "/call", &headers, body.as_bytes());
    client.send(&sent).await.expect("sent");
    other.open(1).await;
    drop(client);
    other.open(0).await;

    let left = server.post("/leave", &burst(&other, 3)).await;
    assert_eq!(left.text(), "left");
    other.open(0).await;
    let trapped = server.post("/trap", &burst(&other, 1)).await;
    assert_eq!(trapped.status, 500, "{}", trapped.text());
    other.open(0).await;
}

#[tokio::test]
async fn g20_a_call_has_six_at_once_and_32_in_all() {
    let other = OtherServer::start().await;
    let server = granted(&other, "").await;
    let results = server.post("/burst", &burst(&other, 1000)).await.json();
    let limited = "ErrorCode::ConnectionLimitReached";
    assert_eq!(results["200"], 32, "{results}");
    assert_eq!(results[limited], 968, "{results}");
    assert!(other.counts.most.load(Ordering::SeqCst) <= 6);
    server
        .wait_for_log(&["calling.wasm", "32", "limits.outbound-per-call"])
        .await;
    assert_eq!(outcome(&server, "limited").await, 968.0);
}

/// Returns the number of file descriptors that a server has open.
fn descriptors(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.pid());
    std::fs::read_dir(folder).expect("the server runs").count()
}

#[tokio::test]
async fn g20_a_thousand_requests_use_few_file_descriptors_and_leave_none() {
    /// Calls at once, of which each sends all the requests that a call may send.
    const CALLS: usize = 32;
    const REQUESTS: usize = 32;
    /// The places of the node, and the connections without a request that are kept to one server.
    const PLACES: usize = 64 + 8;

    // What the first calls open for good is not counted.
    let (first, other) = (OtherServer::start().await, OtherServer::start().await);
    let entries = format!(
        "outbound = [\"{}\", \"{}\"]\n",
        first.url(""),
        other.url("")
    );
    let server = Server::prepare()
        .handler("calling.wasm", guest("calling"))
        .handler("calling.toml", entries)
        .start()
        .await;
    let warm = (0..CALLS).map(|_| async {
        let results = server.post("/burst", &burst(&first, REQUESTS)).await;
        assert_eq!(results.status, 200, "{results:?}");
    });
    futures_util::future::join_all(warm).await;
    drop(first);
    let mut start = descriptors(&server);
    until("nothing is closed any more", SOON, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = std::mem::replace(&mut start, descriptors(&server));
        before == start
    })
    .await;

    let calls = (0..CALLS).map(|_| async {
        let results = server.post("/burst", &burst(&other, REQUESTS)).await.json();
        assert_eq!(results["200"], REQUESTS, "{results}");
    });
    let mut most = start;
    let watch = async {
        loop {
            most = most.max(descriptors(&server));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = futures_util::future::join_all(calls) => {}
        () = watch => {}
    }
    assert!(most > start, "nothing was watched");
    // A connection that is closed keeps its descriptor until its task has ended, a moment later.
    let bound = start + CALLS + 2 * PLACES;
    assert!(most <= bound, "{most} of {bound}, {start} at the start");
    drop(other);
    until("all are closed again", SOON, async || {
        descriptors(&server) <= start
    })
    .await;
}

#[tokio::test]
async fn g20_calls_share_the_places_of_the_node() {
    let other = OtherServer::start().await;
    let plan = Server::prepare()
        .handler("calling.wasm", guest("calling"))
        .handler("calling.toml", other.entry())
        .settings("[outbound]\nrequests = 4");
    let server = plan.start().await;
    let calls = (0..8).map(|_| async {
        let results = server.post("/burst", &burst(&other, 20)).await.json();
        assert_eq!(results["200"], 20, "{results}");
    });
    futures_util::future::join_all(calls).await;
    assert!(other.counts.most.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn i12_4_wrong_settings_are_refused_with_what_is_right() {
    let wrong = |toml: &str| Server::prepare().settings(toml).fail();
    let ended = wrong("[handler.shop]\noutbound = [\"https://example.com/path\"]").await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("handler.shop.outbound"), "{}", ended.log);
    assert!(
        ended.log.contains("https://*.example.org:8443"),
        "{}",
        ended.log
    );
    for entry in [
        "https://user:sesame@example.com",
        "user:sesame@example.com",
        "https://sesame:@x",
        "ftp://a:sesame@b,https://c:sesame@d",
    ] {
        let ended = wrong(&format!(
            "[handler.shop]\noutbound = [\"https://good.example\", \"{entry}\"]"
        ))
        .await;
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        assert!(!ended.log.contains("sesame"), "{}", ended.log);
        assert!(ended.log.contains("without a user name"), "{}", ended.log);
        assert!(ended.log.contains("https://good.example"), "{}", ended.log);
    }
    let ended = wrong("[outbound]\nca-file = \"missing.pem\"").await;
    assert_ne!(ended.code, Some(0));
    assert!(
        ended.log.contains("missing.pem (outbound.ca-file)"),
        "{}",
        ended.log
    );
}

#[test]
fn i12_4_a_handler_that_calls_nobody_imports_nothing_for_it() {
    for component in [example("hello"), guest("typed")] {
        let imports = imports(&component);
        assert!(
            !imports.iter().any(|name| name.starts_with("wasi:http")),
            "{imports:?}"
        );
    }
    assert!(imports(&guest("calling")).contains(&"wasi:http/outgoing-handler".to_owned()));
}
