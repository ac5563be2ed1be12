//! Answers to requests: status, headers and body, read in the same way through every door.

use std::collections::HashSet;

use hitchy_tests::clauses::Way;
use hitchy_tests::door::{Answer, probed};
use hitchy_tests::node::binary;
use hitchy_tests::raw::RawClient;
use hitchy_tests::{Client, Server, clauses, expect, guest, scripted};
use serde_json::{Value, json};

clauses! {
    request_websocket request_polling:
        r02_what_belongs_to_http_is_left_out
        r04_large_numbers_survive
        r01_r02_r04_to_r12_both_doors_give_the_same_answers;
    http request_websocket request_polling:
        r01_status_is_an_integer_and_200_by_default
        r02_names_are_lower_case_and_repeats_joined
        r04_json_is_a_value
        r05_what_only_claims_to_be_json_is_a_string
        r06_text_is_a_string
        r07_anything_else_is_bytes
        r07_text_that_is_no_utf8_is_bytes
        r08_empty_is_null
        r08_an_answer_to_head_has_no_body
        r09_no_route_is_404
        r09_wrong_method_is_405_with_allow
        r10_every_call_has_an_id_that_guest_and_log_know
        r11_head_falls_back_to_get
        r11_options_is_answered_with_allow
        r12_redirects_are_returned;
}

/// Lets the probe give the answer that `wish` describes.
async fn wish(client: &Client, wish: Value) -> Answer {
    client.post("/answer", wish).await
}

/// Lets the probe give an answer of this content type. The body is text, or bytes in hexadecimal.
async fn typed(client: &Client, kind: &str, body: Value) -> Value {
    let mut wished = body;
    wished["headers"] = json!([["content-type", kind]]);
    let answer = wish(client, wished).await;
    assert_eq!(answer.header("content-type"), Some(kind));
    answer.body
}

async fn r01_status_is_an_integer_and_200_by_default(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    assert_eq!(
        wish(&client, json!({ "body": "as usual" })).await.status,
        200
    );
    for status in [200, 201, 299, 300, 400, 418, 500, 599] {
        let answer = wish(&client, json!({ "status": status, "body": "b" })).await;
        assert_eq!(answer.status, status);
    }
}

async fn r02_names_are_lower_case_and_repeats_joined(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!([
        ["X-Kind", "Teapot"],
        ["x-many", "1"],
        ["X-MANY", "2"],
        ["vary", "a"],
        ["Vary", "b, c"]
    ]);
    let answer = wish(&client, json!({ "headers": headers, "body": "b" })).await;
    for (name, value) in [
        ("x-kind", "Teapot"),
        ("x-many", "1, 2"),
        ("vary", "a, b, c"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    let lower_case = |name: &String| *name == name.to_lowercase();
    assert!(answer.headers.keys().all(lower_case), "{answer:?}");
}

async fn r02_what_belongs_to_http_is_left_out(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!([
        ["Date", "Thu, 01 Jan 1970 00:00:00 GMT"],
        ["Connection", "close"],
        ["x-kept", "yes"]
    ]);
    let answer = wish(&client, json!({ "headers": headers, "body": "b" })).await;
    assert_eq!(answer.header("x-kept"), Some("yes"));
    for answer in [answer, client.get("/nobody").await] {
        for name in ["date", "connection", "content-length", "transfer-encoding"] {
            assert!(!answer.headers.contains_key(name), "{answer:?}");
        }
    }
}

async fn r04_json_is_a_value(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for kind in [
        "application/json",
        "text/json",
        "Application/Problem+JSON; charset=utf-8",
        "application/vnd.api+json;x=y",
    ] {
        for (text, value) in [
            (r#"{ "a": [1, null, "ü"] }"#, json!({ "a": [1, null, "ü"] })),
            ("\"text\"", json!("text")),
            ("7", json!(7)),
            ("false", json!(false)),
            ("null", Value::Null),
            (
                r#"{"_placeholder":true,"num":0}"#,
                json!({ "_placeholder": true, "num": 0 }),
            ),
        ] {
            assert_eq!(typed(&client, kind, json!({ "body": text })).await, value);
        }
    }
}

/// Reads the packet as text, because JavaScript would round these numbers.
async fn r04_large_numbers_survive(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let text = r#"{"id":18446744073709551615,"exact":0.10000000000000000000001}"#;
    let wish = json!({ "headers": [["content-type", "application/json"]], "body": text });
    let request = json!(["request", { "method": "POST", "url": "/answer", "body": wish }]);
    let mut client = RawClient::connect(way.transport(), server.addr(), "/hitchy").await;
    let packet = format!("42/hitchy,0{request}");
    client.send(packet).await.expect("sent");
    let ack = client.ack("/hitchy,0").await.expect("an ack");
    assert!(ack.contains(&format!(r#""body":{text}"#)), "{ack}");
}

async fn r05_what_only_claims_to_be_json_is_a_string(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for text in ["{no json", "{} {}", "ü", "NaN", "{\"a\":1,}"] {
        let body = typed(&client, "application/json", json!({ "body": text })).await;
        assert_eq!(body, text);
    }
}

async fn r06_text_is_a_string(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for kind in [
        "text/plain",
        "Text/HTML; charset=utf-8",
        "text/event-stream",
        "application/xml",
        "image/svg+xml",
        "application/javascript",
        "application/x-www-form-urlencoded",
    ] {
        let body = typed(&client, kind, json!({ "body": "<ü>\u{0}\n{}" })).await;
        assert_eq!(body, "<ü>\u{0}\n{}", "{kind}");
    }
}

async fn r07_anything_else_is_bytes(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for kind in [
        "image/png",
        "application/octet-stream",
        "application/jsonp",
        "nonsense",
    ] {
        let body = typed(&client, kind, json!({ "body": "text" })).await;
        assert_eq!(body, binary(b"text"), "{kind}");
    }
    let all: Vec<u8> = (0..=255).collect();
    let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = wish(&client, json!({ "hex": hex })).await;
    assert_eq!(answer.body, binary(&all), "without a type");
}

async fn r07_text_that_is_no_utf8_is_bytes(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for kind in ["text/plain", "application/json", "text/html; charset=utf-8"] {
        let body = typed(&client, kind, json!({ "hex": "22ff0022" })).await;
        assert_eq!(body, binary(&[0x22, 0xff, 0, 0x22]), "{kind}");
    }
}

async fn r08_empty_is_null(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (status, kind) in [
        (204, "text/plain"),
        (304, "application/json"),
        (200, "application/json"),
        (200, "text/plain"),
        (200, "image/png"),
    ] {
        let headers = json!([["content-type", kind]]);
        let answer = wish(
            &client,
            json!({ "status": status, "headers": headers, "body": "" }),
        )
        .await;
        assert_eq!((answer.status, answer.body), (status, Value::Null));
    }
    // These statuses allow no body, even if the guest gives one.
    for status in [204, 304] {
        let answer = wish(&client, json!({ "status": status, "body": "too much" })).await;
        assert_eq!((answer.status, answer.body), (status, Value::Null));
    }
}

async fn r08_an_answer_to_head_has_no_body(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (url, status) in [
        ("/echo", 200),
        ("/hello/you", 200),
        ("/nobody", 404),
        ("/traps/x", 500),
    ] {
        let answer = client.ask(json!({ "method": "HEAD", "url": url })).await;
        assert_eq!((answer.status, answer.body), (status, Value::Null), "{url}");
    }
}

async fn r09_no_route_is_404(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    expect::refusal(&client.get("/nobody/home").await, 404);
    expect::refusal(&client.post("/nobody/home", json!({})).await, 404);
}

async fn r09_wrong_method_is_405_with_allow(way: Way) {
    let script = "route GET /two\nroute POST /two\nroute PUT /three";
    let server = Server::with("two.wasm", scripted(script)).await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let answer = client
        .ask(json!({ "method": "DELETE", "url": "/two" }))
        .await;
    expect::refusal(&answer, 405);
    assert_eq!(allowed(&answer), ["GET", "HEAD", "OPTIONS", "POST"]);
}

/// Returns the methods of the header `allow`, sorted.
fn allowed(answer: &Answer) -> Vec<&str> {
    let allow = answer.header("allow").expect("allow");
    let mut methods: Vec<_> = allow.split(',').map(str::trim).collect();
    methods.sort_unstable();
    methods
}

async fn r10_every_call_has_an_id_that_guest_and_log_know(way: Way) {
    let Some((server, client)) = probed(way).await else {
        return;
    };
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let echo = client.get("/echo").await;
        let id = echo.header("x-request-id").expect("an id").to_owned();
        assert_eq!(echo.body["id"], id);
        assert!(ids.insert(id), "it was there before");
    }
    let printed = client.post("/print", json!("a line of the guest")).await;
    let id = printed.header("x-request-id").expect("an id");
    for stream in ["out", "err"] {
        let line = format!("{stream}: a line of the guest");
        server.wait_for_log(&[&line, "probe", id]).await;
    }
}

async fn r11_head_falls_back_to_get(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let head = |url: &str| json!({ "method": "HEAD", "url": url });
    let (fallen, got) = (
        client.ask(head("/hello/you")).await,
        client.get("/hello/you").await,
    );
    assert_eq!(fallen.without_id().headers, got.without_id().headers);
    // A route for any method gets HEAD requests unchanged.
    let own = client.ask(head("/echo")).await;
    assert_eq!(own.header("x-method"), Some("HEAD"));
    let none = client.ask(head("/mirror")).await;
    assert_eq!(none.status, 405, "there is no GET");
}

async fn r11_options_is_answered_with_allow(way: Way) {
    let server = Server::prepare()
        .handler("two.wasm", scripted("route GET /two\nroute POST /two"))
        .handler("probe.wasm", guest("probe"))
        .start()
        .await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    let options = |url: &str| json!({ "method": "OPTIONS", "url": url });
    let answer = client.ask(options("/two")).await;
    assert_eq!((answer.status, &answer.body), (204, &Value::Null));
    assert_eq!(allowed(&answer), ["GET", "HEAD", "OPTIONS", "POST"]);
    let own = client.ask(options("/echo")).await;
    assert_eq!(own.body["method"], "OPTIONS", "a route of any method");
    expect::refusal(&client.ask(options("/nobody")).await, 404);
}

async fn r12_redirects_are_returned(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for status in [301, 302, 303, 307, 308] {
        let headers = json!([["location", "/hello/there"]]);
        let wished = json!({ "status": status, "headers": headers, "body": "" });
        let answer = wish(&client, wished).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("location"), Some("/hello/there"));
    }
}

async fn r01_r02_r04_to_r12_both_doors_give_the_same_answers(way: Way) {
    let Some((server, socket)) = probed(way).await else {
        return;
    };
    let http = Client::open(Way::Http, &server).await;
    let http = http.expect("HTTP needs no client");
    let wished = |wish: Value| json!({ "method": "POST", "url": "/answer", "body": wish });
    for request in [
        json!({ "url": "/hello/you" }),
        json!({ "method": "HEAD", "url": "/hello/you" }),
        json!({ "method": "OPTIONS", "url": "/hello/you" }),
        json!({ "method": "PUT", "url": "/hello/you" }),
        json!({ "url": "/nobody" }),
        json!({ "url": "/%zz" }),
        json!({ "url": "/traps/x" }),
        json!({ "url": "/fails/x" }),
        json!({ "url": "/guarded/x" }),
        wished(json!({ "status": 418, "headers": [["X-A", "1"], ["x-a", "2"]], "hex": "ff00" })),
        wished(json!({ "status": 302, "headers": [["location", "/x"], ["set-cookie", "a=1"]] })),
        wished(json!({ "headers": [["content-type", "application/json"]], "body": "[1.5, null]" })),
        wished(json!({ "headers": [["x-bad", "a\nb"]] })),
    ] {
        let answer = async |client: &Client| {
            let mut answer = client.ask(request.clone()).await.without_id();
            answer.headers.remove("set-cookie");
            answer
        };
        assert_eq!(answer(&socket).await, answer(&http).await, "{request}");
    }
}
