//! Headers of a request: those that reach the guest, those that are refused, and those that only the host may set.

use hitchy_tests::clauses::Way;
use hitchy_tests::door::probed;
use hitchy_tests::refusing::Refusing;
use hitchy_tests::{Client, Server, clauses, guest};
use serde_json::{Value, json};

clauses! {
    request_websocket request_polling:
        b09_missing_headers_are_none
        b09_what_is_no_object_of_headers_is_400
        b10_of_two_names_the_last_wins
        b10_a_name_that_is_no_token_is_400
        b11_values_become_strings
        b11_null_and_undefined_are_dropped
        b11_an_object_or_a_control_character_is_400
        b11_more_than_100_headers_are_431
        b12_the_handshake_says_who_the_client_is
        b12_authorization_is_never_inherited;
    http request_websocket request_polling:
        b10_names_are_lower_cased
        b11_an_array_is_several_values
        b11_headers_beyond_32_kib_are_431
        b12_what_only_proxies_may_say_is_dropped
        b12_authorization_is_the_requests_own
        b13_framing_and_hop_by_hop_headers_are_dropped;
}

async fn b09_missing_headers_are_none(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "user-agent": "story" });
    let Some(client) = Client::open_as(way, &server, identity).await else {
        return;
    };
    for request in [
        json!({ "url": "/echo" }),
        json!({ "url": "/echo", "headers": null }),
        json!({ "url": "/echo", "headers": { "$undefined": true } }),
        json!({ "url": "/echo", "headers": {} }),
    ] {
        let mut seen = client.ask(request.clone()).await.seen_names();
        seen.sort_unstable();
        assert_eq!(seen, ["host", "user-agent"], "{request}");
    }
}

async fn b09_what_is_no_object_of_headers_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for headers in [json!("x: y"), json!(7), json!(false), json!([["x", "y"]])] {
        let request = json!({ "url": "/echo", "headers": headers });
        refusing.refuses(400, "headers", request).await;
    }
}

async fn b10_names_are_lower_cased(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!({ "X-Story": "Told", "CONTENT-TYPE": "text/plain" });
    let request = json!({ "method": "POST", "url": "/echo", "headers": headers, "body": "b" });
    let echo = client.ask(request).await;
    assert_eq!(echo.seen("x-story"), ["Told"]);
    assert_eq!(echo.seen("content-type"), ["text/plain"]);
    assert_eq!(echo.seen("X-Story"), Vec::<String>::new());
}

/// Sends names that differ only in case. A JavaScript object keeps the order in which its names were set.
async fn b10_of_two_names_the_last_wins(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (headers, last) in [
        (json!({ "X-A": "1", "x-a": "2" }), "2"),
        (json!({ "X-a": ["1", "2"], "x-A": "3" }), "3"),
    ] {
        let echo = client
            .ask(json!({ "url": "/echo", "headers": headers }))
            .await;
        assert_eq!(echo.seen("x-a"), [last]);
    }
}

async fn b10_a_name_that_is_no_token_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for name in ["", "x y", "x:", "x\r\ny", "ü", "x\0"] {
        let request = json!({ "url": "/echo", "headers": { name: "v" } });
        refusing.refuses(400, "headers", request).await;
    }
}

async fn b11_values_become_strings(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!({ "x-text": "text", "x-empty": "", "x-number": 7, "x-real": 1.5, "x-yes": true, "x-no": false, "x-ü": "ü" });
    let mut headers = headers;
    let umlaut = headers.as_object_mut().and_then(|all| all.remove("x-ü"));
    headers["x-umlaut"] = umlaut.expect("it was there");
    let echo = client
        .ask(json!({ "url": "/echo", "headers": headers }))
        .await;
    for (name, value) in [
        ("x-text", "text"),
        ("x-empty", ""),
        ("x-number", "7"),
        ("x-real", "1.5"),
        ("x-yes", "true"),
        ("x-no", "false"),
        ("x-umlaut", "ü"),
    ] {
        assert_eq!(echo.seen(name), [value], "{name}");
    }
}

async fn b11_an_array_is_several_values(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!({ "X-Many": ["1", "2", 3], "x-one": ["1"] });
    let echo = client
        .ask(json!({ "url": "/echo", "headers": headers }))
        .await;
    assert_eq!(echo.seen("x-many"), ["1", "2", "3"]);
    assert_eq!(echo.seen("x-one"), ["1"]);
}

async fn b11_null_and_undefined_are_dropped(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let nothing = json!({ "$undefined": true });
    let headers = json!({ "x-null": null, "x-nothing": nothing, "x-list": [null, "1", nothing], "x-none": [] });
    let echo = client
        .ask(json!({ "url": "/echo", "headers": headers }))
        .await;
    for name in ["x-null", "x-nothing", "x-none"] {
        assert_eq!(echo.seen(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(echo.seen("x-list"), ["1"]);
}

async fn b11_an_object_or_a_control_character_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for value in [
        json!({ "an": "object" }),
        json!([{ "an": "object" }]),
        json!([["in", "an array"]]),
        json!("a\r\nb: c"),
        json!("a\rb"),
        json!("a\nb"),
        json!("a\0b"),
        json!(["a", "b\n"]),
    ] {
        let request = json!({ "url": "/echo", "headers": { "x-bad": value } });
        refusing.refuses(400, "headers", request).await;
    }
}

async fn b11_more_than_100_headers_are_431(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let many = |count: usize| -> Value {
        let fields = (0..count).map(|number| (format!("x-{number}"), json!("v")));
        Value::Object(fields.collect())
    };
    let request = json!({ "url": "/hello/many", "headers": many(100) });
    assert_eq!(refusing.client.ask(request).await.status, 200, "100 fit");
    assert_eq!(refusing.asked().await, ["GET /hello/many"]);
    for headers in [many(101), json!({ "x-list": vec!["v"; 101] })] {
        let request = json!({ "url": "/echo", "headers": headers });
        refusing.refuses(431, "headers", request).await;
    }
}

async fn b11_headers_beyond_32_kib_are_431(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let request =
        |size: usize| json!({ "url": "/hello/large", "headers": { "x-large": "v".repeat(size) } });
    let answer = refusing.client.ask(request(31 << 10)).await;
    assert_eq!(answer.status, 200, "31 KiB fit");
    assert_eq!(refusing.asked().await, ["GET /hello/large"]);
    refusing.refuses(431, "headers", request(32 << 10)).await;
}

async fn b12_the_handshake_says_who_the_client_is(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "user-agent": "honest", "cookie": "s=1", "accept-language": "de", "referer": "http://here/", "origin": server.url() });
    let Some(client) = Client::open_as(way, &server, identity).await else {
        return;
    };
    let lies = json!({
        "User-Agent": "liar", "cookie": "s=2", "Host": "evil", "origin": "http://evil", "accept-language": "xx", "referer": "http://evil/",
    });
    let echo = client.ask(json!({ "url": "/echo", "headers": lies })).await;
    for (name, value) in [
        ("user-agent", "honest"),
        ("cookie", "s=1"),
        ("accept-language", "de"),
        ("referer", "http://here/"),
        ("origin", server.url().as_str()),
        ("host", server.addr().to_string().as_str()),
    ] {
        assert_eq!(echo.seen(name), [value], "{name}");
    }
    // A header that was missing in the handshake cannot be added later.
    let Some(silent) = Client::open(way, &server).await else {
        return;
    };
    let lies = json!({ "cookie": "s=2", "referer": "http://evil/" });
    let echo = silent.ask(json!({ "url": "/echo", "headers": lies })).await;
    for name in ["cookie", "referer"] {
        assert_eq!(echo.seen(name), Vec::<String>::new(), "{name}");
    }
}

async fn b12_what_only_proxies_may_say_is_dropped(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let forwarding = json!({
        "Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "evil",
        "x-forwarded-whatever": "1", "X-Real-IP": "192.0.2.1",
    });
    let names = forwarding.as_object().cloned().unwrap_or_default();
    // These headers are dropped both in the handshake and in the request.
    let Some(client) = Client::open_as(way, &server, forwarding.clone()).await else {
        return;
    };
    let echo = client
        .ask(json!({ "url": "/echo", "headers": forwarding }))
        .await;
    for name in names.keys() {
        let seen = echo.seen(&name.to_lowercase());
        assert_eq!(seen, Vec::<String>::new(), "{name}");
    }
    let remote = echo.body["remote"].as_str().unwrap_or_default();
    assert!(remote.starts_with("127.0.0.1:"), "{remote}");
}

async fn b12_authorization_is_the_requests_own(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!({ "Authorization": "Bearer of the request" });
    let echo = client
        .ask(json!({ "url": "/echo", "headers": headers }))
        .await;
    assert_eq!(echo.seen("authorization"), ["Bearer of the request"]);
}

async fn b12_authorization_is_never_inherited(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "authorization": "Bearer of the handshake" });
    let Some(client) = Client::open_as(way, &server, identity).await else {
        return;
    };
    let echo = client.get("/echo").await;
    assert_eq!(echo.seen("authorization"), Vec::<String>::new());
    let headers = json!({ "authorization": "Bearer of the request" });
    let echo = client
        .ask(json!({ "url": "/echo", "headers": headers }))
        .await;
    assert_eq!(echo.seen("authorization"), ["Bearer of the request"]);
}

async fn b13_framing_and_hop_by_hop_headers_are_dropped(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let mut headers = json!({
        "Keep-Alive": "timeout=5", "te": "trailers", "trailer": "x-end", "Proxy-Authorization": "Basic x", "proxy-connection": "close",
        "proxy-whatever": "1",
    });
    // Over HTTP, these headers have a meaning for the connection, so the client sets them itself.
    if way != Way::Http {
        for (name, value) in [
            ("Content-Length", json!(7)),
            ("transfer-encoding", json!("chunked")),
            ("connection", json!("close")),
            ("upgrade", json!("websocket")),
        ] {
            headers[name] = value;
        }
    }
    headers["x-kept"] = json!("yes");
    let request = json!({ "method": "POST", "url": "/echo", "headers": headers, "body": "body" });
    let echo = client.ask(request).await;
    assert_eq!(
        (&echo.body["body"], &echo.body["size"]),
        (&json!("body"), &json!(4))
    );
    let framing = [
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
    ];
    let names = headers.as_object().cloned().unwrap_or_default();
    let names = names.keys().map(|name| name.to_lowercase());
    for name in names.chain(framing.map(str::to_owned)) {
        let expected: &[&str] = if name == "x-kept" { &["yes"] } else { &[] };
        assert_eq!(echo.seen(&name), expected, "{name}");
    }
}
