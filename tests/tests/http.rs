//! Properties of the HTTP door alone: bytes on the wire, framing, and connections that carry many requests.

use hitchy_tests::clauses::Way;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::site::site;
use hitchy_tests::{Server, clauses, expect, guest, scripted};
use serde_json::{Value, json};

clauses! {
    http:
        b10_b11_b14_a_request_reaches_the_guest_as_it_was_sent
        b10_two_lines_of_a_name_are_two_values
        b13_headers_that_connection_names_are_dropped
        b04_odd_targets_never_reach_a_guest
        r08_an_empty_answer_has_no_length_and_the_connection_stays_in_step
        r11_nothing_of_the_body_follows_head;
}

async fn probed() -> Server {
    Server::with("probe.wasm", guest("probe")).await
}

/// Returns the values of a header as the guest `probe` saw them.
fn seen(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().expect("probe lists the headers");
    let named = headers.iter().filter(|pair| pair[0] == name);
    named
        .map(|pair| pair[1].as_str().unwrap_or_default().to_string())
        .collect()
}

async fn b10_b11_b14_a_request_reaches_the_guest_as_it_was_sent(_: Way) {
    let server = probed().await;
    let headers = [
        ("User-Agent", "story/1"),
        ("Authorization", "Bearer key"),
        ("cookie", "a=1; b=2"),
        ("content-type", "text/plain"),
    ];
    let answer = server
        .request(
            "PUT",
            "/echo/deep/er?a=1&b=%20&&c",
            &headers,
            "grüße".as_bytes(),
        )
        .await;
    let echo = answer.json();
    assert_eq!(echo["method"], "PUT");
    assert_eq!(
        echo["url"], "/echo/deep/er?a=1&b=%20&&c",
        "the query is raw"
    );
    assert_eq!(echo["rest"], "deep/er");
    assert_eq!(echo["door"], "http");
    assert_eq!(echo["body"], "grüße");
    assert_eq!(
        echo["userAgent"],
        json!(["story/1"]),
        "a header is found in any case"
    );
    assert_eq!(seen(&echo, "user-agent"), ["story/1"]);
    assert_eq!(seen(&echo, "authorization"), ["Bearer key"]);
    assert_eq!(seen(&echo, "cookie"), ["a=1; b=2"]);
    assert_eq!(seen(&echo, "host"), ["localhost"]);
    assert!(
        echo["remote"]
            .as_str()
            .is_some_and(|remote| remote.starts_with("127.0.0.1:")),
        "{echo}"
    );
    assert_eq!(echo["socket"], Value::Null);
    assert!(
        echo["deadline"]
            .as_u64()
            .is_some_and(|left| (1..=10_000).contains(&left)),
        "{echo}"
    );
}

async fn b10_two_lines_of_a_name_are_two_values(_: Way) {
    let server = probed().await;
    let headers = [("X-Twice", "one"), ("x-twice", "two")];
    let echo = server.request("GET", "/echo", &headers, b"").await.json();
    assert_eq!(seen(&echo, "x-twice"), ["one", "two"]);
}

async fn b13_headers_that_connection_names_are_dropped(_: Way) {
    let server = probed().await;
    let headers = [
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "by hop"),
        ("keep-alive", "timeout=5"),
        ("x-kept", "yes"),
    ];
    let mut connection = Connection::open(server.addr()).await;
    let echo = connection.ask("POST", "/echo", &headers, b"body").await;
    let echo = echo.json();
    for name in ["connection", "x-hop", "keep-alive"] {
        assert_eq!(seen(&echo, name), Vec::<String>::new(), "{name} in {echo}");
    }
    assert_eq!(seen(&echo, "x-kept"), ["yes"]);
}

async fn b04_odd_targets_never_reach_a_guest(_: Way) {
    let server = probed().await;
    for target in [
        "*",
        "hello/x",
        "http://evil.example/hello/x",
        "//evil.example/hello/x",
        "?a=b",
    ] {
        let mut connection = Connection::open(server.addr()).await;
        let headers = [("connection", "close")];
        let Ok(answer) = connection.try_ask("GET", target, &headers, b"").await else {
            continue;
        };
        let proxied = target.starts_with("http://") && answer.status == 200;
        assert!(
            proxied || (400..500).contains(&answer.status),
            "{target}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn routes_static_before_parameter_before_rest_and_named_method_before_any() {
    let script = "name r\nroute GET /r/{name}\nroute GET /r/fixed\nroute GET /r/{*rest}\nroute * /r/any\nroute GET /r/any\nroute * /r/open";
    let server = Server::with("r.wasm", scripted(script)).await;
    let route = async |method: &str, target: &str| {
        server.request(method, target, &[], b"").await.json()["route"].clone()
    };
    assert_eq!(route("GET", "/r/fixed").await, 1);
    assert_eq!(route("GET", "/r/other").await, 0);
    assert_eq!(route("GET", "/r/other/more").await, 2);
    assert_eq!(route("GET", "/r/any").await, 4);
    assert_eq!(route("POST", "/r/any").await, 3);
    assert_eq!(route("BREW", "/r/open").await, 5, "any method is a method");
}

async fn r08_an_empty_answer_has_no_length_and_the_connection_stays_in_step(_: Way) {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    for status in [204, 304] {
        let wish = json!({ "status": status, "body": "" }).to_string();
        let answer = connection
            .ask(
                "POST",
                "/answer",
                &[("content-type", "application/json")],
                wish.as_bytes(),
            )
            .await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        // RFC 9110, 8.6: an answer that cannot have a body has no length.
        for header in ["transfer-encoding", "content-length"] {
            assert_eq!(answer.header(header), None, "{answer:?}");
        }
    }
    let wish = json!({ "status": 200, "body": "" }).to_string();
    let answer = connection
        .ask(
            "POST",
            "/answer",
            &[("content-type", "application/json")],
            wish.as_bytes(),
        )
        .await;
    assert_eq!(answer.header("content-length"), Some("0"));
    // The connection is still usable.
    assert_eq!(
        connection.ask("GET", "/hello/again", &[], b"").await.json(),
        json!({ "hello": "again" })
    );
}

async fn r11_nothing_of_the_body_follows_head(_: Way) {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    let head = connection.ask("HEAD", "/hello/world", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let get = connection.ask("GET", "/hello/world", &[], b"").await;
    assert_eq!(
        get.json(),
        json!({ "hello": "world" }),
        "nothing of HEAD's body is on the wire"
    );
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    let head = connection.ask("HEAD", "/echo", &[], b"").await;
    assert_eq!(
        head.header("x-method"),
        Some("HEAD"),
        "HEAD reaches the guest as HEAD"
    );
    assert_eq!(
        connection.ask("HEAD", "/nobody", &[], b"").await.status,
        404
    );
}

#[tokio::test]
async fn b02_head_in_lower_case_is_answered_like_head() {
    let server = site().start().await;
    for target in ["/style.css", "/hello/world", "/nobody"] {
        let mut connection = Connection::open(server.addr()).await;
        let head = connection.ask("HEAD", target, &[], b"").await;
        // HTTP knows no such method, so the answer says that its body is empty.
        let lower = connection.ask("head", target, &[], b"").await;
        assert_eq!(lower.status, head.status, "{target}");
        assert_eq!(lower.header("content-type"), head.header("content-type"));
        assert_eq!(
            (lower.text(), lower.header("content-length")),
            (String::new(), Some("0"))
        );
    }
}

#[tokio::test]
async fn c04_a_request_with_two_framings_is_refused_and_the_connection_closed() {
    let server = probed().await;
    for head in [
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: -1\r\n",
        "content-length: +5\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ] {
        let mut connection = Connection::open(server.addr()).await;
        let smuggle = format!(
            "POST /echo HTTP/1.1\r\nhost: h\r\n{head}\r\n0\r\n\r\nGET /hello/smuggled HTTP/1.1\r\nhost: h\r\n\r\n"
        );
        connection.send(smuggle).await.expect("sent");
        let all = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(!all.contains("smuggled"), "{head}: {all}");
        assert!(
            all.is_empty() || all.starts_with("HTTP/1.1 400"),
            "{head}: {all}"
        );
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_even_sent_at_once() {
    let server = probed().await;
    let mut connection = Connection::open(server.addr()).await;
    let mut pipeline = Vec::new();
    for number in 0..20 {
        pipeline.extend(request("GET", &format!("/hello/{number}"), &[], b""));
    }
    connection.send(pipeline).await.expect("sent");
    for number in 0..20 {
        let answer = connection.read("GET").await.expect("an answer");
        assert_eq!(answer.json(), json!({ "hello": number.to_string() }));
    }
}

#[tokio::test]
async fn what_a_guest_logs_is_a_record_with_its_level_handler_and_call() {
    let server = probed().await;
    let steps: Vec<Value> = ["error", "warn", "info", "debug"]
        .iter()
        .map(
            |level| json!({ "do": "log", "level": level, "message": format!("a word at {level}") }),
        )
        .collect();
    let answer = server.post("/script", &Value::from(steps)).await;
    let id = answer
        .header("x-request-id")
        .expect("every answer has an id")
        .to_string();
    for level in ["error", "warn", "info"] {
        let line = server
            .wait_for_log(&[&format!("a word at {level}"), "probe", &id])
            .await;
        assert!(line.contains(&level.to_uppercase()), "{line}");
    }
    let debug = server
        .log()
        .find(0, |_, line| line.contains("a word at debug").then_some(()));
    assert_eq!(debug, None, "below log.level");
}

#[tokio::test]
async fn c07_connect_is_no_request_for_a_route() {
    let server = probed().await;
    let answer = server.request("CONNECT", "/echo", &[], b"").await;
    expect::error(&answer, 501);
    assert_eq!(answer.header("connection"), Some("close"));
}
