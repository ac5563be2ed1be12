//! Request bodies: each kind of value that a client can pass, and the content type that the guest sees.

use hitchy_tests::clauses::Way;
use hitchy_tests::door::{Answer, probed};
use hitchy_tests::node::{binaries, binary, undefined};
use hitchy_tests::refusing::Refusing;
use hitchy_tests::{Client, clauses};
use serde_json::{Value, json};

clauses! {
    request_websocket request_polling:
        b15_value_without_content_type_is_json
        b16_value_with_a_content_type_of_json_keeps_it
        b17_value_with_other_content_type_is_400
        b18_no_body_has_no_content_type
        b20_string_without_content_type_is_plain_text
        b21_bytes_without_content_type_are_octets
        b22_bytes_inside_a_value_are_400
        b23_forged_placeholder_is_an_ordinary_object
        b23_placeholder_out_of_range_is_400;
    http request_websocket request_polling:
        b18_a_request_without_body_has_no_content_type
        b19_string_with_content_type_is_verbatim
        b21_bytes_with_content_type_keep_it;
}

/// Returns values that are not strings, each with its JSON.
fn values() -> [(Value, &'static str); 8] {
    [
        (json!({ "an": "object" }), r#"{"an":"object"}"#),
        (json!({}), "{}"),
        (json!([1, "ü", null]), r#"[1,"ü",null]"#),
        (json!([]), "[]"),
        (json!(0), "0"),
        (json!(-1.5), "-1.5"),
        (json!(true), "true"),
        (json!(false), "false"),
    ]
}

async fn post(client: &Client, headers: Value, body: Value) -> Answer {
    let request = json!({ "method": "POST", "url": "/echo", "headers": headers, "body": body });
    client.ask(request).await
}

/// Returns the body as the guest saw it, and its content types.
fn seen(echo: &Answer) -> (String, Vec<String>) {
    let body = echo.body["body"].as_str().unwrap_or_default();
    (body.to_owned(), echo.seen("content-type"))
}

/// Posts bytes to a route that sends them back. Returns the body of the answer and its content type.
async fn mirrored(client: &Client, headers: Value, body: Value) -> (Value, Option<String>) {
    let request = json!({ "method": "POST", "url": "/mirror", "headers": headers, "body": body });
    let answer = client.ask(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type").map(str::to_owned);
    (answer.body, kind)
}

async fn b15_value_without_content_type_is_json(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (value, text) in values() {
        let expected = "application/json; charset=utf-8".to_owned();
        let echo = post(&client, json!({}), value).await;
        assert_eq!(seen(&echo), (text.to_owned(), vec![expected]));
    }
}

async fn b16_value_with_a_content_type_of_json_keeps_it(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for kind in [
        "application/json",
        "text/json",
        "Application/JSON",
        "TEXT/json; x=y",
        "application/json;charset=utf-16",
    ] {
        for (value, text) in values() {
            let echo = post(&client, json!({ "Content-Type": kind }), value).await;
            assert_eq!(seen(&echo), (text.to_owned(), vec![kind.to_owned()]));
        }
    }
}

async fn b17_value_with_other_content_type_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let request = |kind: &str, body: &Value| {
        let headers = json!({ "content-type": kind });
        json!({ "method": "POST", "url": "/echo", "headers": headers, "body": body })
    };
    for (value, _) in values() {
        refusing
            .refuses(400, "body", request("text/plain", &value))
            .await;
    }
    for kind in [
        "application/jsonp",
        "application/problem+json",
        "application/octet-stream",
        "json",
        "",
    ] {
        refusing
            .refuses(400, "content-type", request(kind, &json!({ "a": 1 })))
            .await;
    }
}

async fn b18_no_body_has_no_content_type(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for nothing in [Value::Null, undefined()] {
        for headers in [json!({}), json!({ "content-type": "application/json" })] {
            let echo = post(&client, headers, nothing.clone()).await;
            assert_eq!(seen(&echo), (String::new(), Vec::new()), "{nothing}");
        }
    }
}

async fn b18_a_request_without_body_has_no_content_type(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for method in ["GET", "POST"] {
        let request = json!({ "method": method, "url": "/echo" });
        let echo = client.ask(request).await;
        assert_eq!(seen(&echo), (String::new(), Vec::new()), "{method}");
    }
}

async fn b19_string_with_content_type_is_verbatim(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (kind, text) in [
        ("text/html", "<p>grüße 🎉</p>"),
        ("application/json", "{ \"a\" : 1 }"),
        ("application/json", "no JSON"),
        ("Image/SVG+xml; Charset=x", "<svg/>"),
        ("text/plain", "\u{0}\r\n\u{feff}"),
    ] {
        let echo = post(&client, json!({ "content-type": kind }), json!(text)).await;
        assert_eq!(seen(&echo), (text.to_owned(), vec![kind.to_owned()]));
    }
}

async fn b20_string_without_content_type_is_plain_text(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for text in ["grüße 🎉", "{\"a\":1}", "null"] {
        let echo = post(&client, json!({}), json!(text)).await;
        let expected = "text/plain; charset=utf-8".to_owned();
        assert_eq!(seen(&echo), (text.to_owned(), vec![expected]));
    }
}

/// An even number of bytes that are not valid text.
const BYTES: [u8; 6] = [0, 0xff, 0x80, 0x0d, 0x0a, 0xfe];

async fn b21_bytes_without_content_type_are_octets(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (kind, bytes) in binaries(&BYTES) {
        let (body, content_type) = mirrored(&client, json!({}), bytes).await;
        assert_eq!(body, binary(&BYTES), "{kind}");
        let content_type = content_type.as_deref();
        assert_eq!(content_type, Some("application/octet-stream"), "{kind}");
    }
}

async fn b21_bytes_with_content_type_keep_it(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let headers = json!({ "content-type": "image/png; x=y" });
    for (kind, bytes) in binaries(&BYTES) {
        // HTTP sends all kinds of binaries as the same bytes.
        if way == Way::Http && bytes != binary(&BYTES) {
            continue;
        }
        let (body, content_type) = mirrored(&client, headers.clone(), bytes).await;
        assert_eq!(body, binary(&BYTES), "{kind}");
        assert_eq!(content_type.as_deref(), Some("image/png; x=y"), "{kind}");
    }
}

async fn b22_bytes_inside_a_value_are_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for (_, bytes) in binaries(&BYTES) {
        for body in [
            json!({ "file": bytes }),
            json!([bytes]),
            json!({ "a": [{ "b": bytes }, 1] }),
        ] {
            let request = json!({ "method": "POST", "url": "/echo", "body": body });
            refusing.refuses(400, "body: binary", request).await;
        }
    }
}

/// Sends a value that looks like a placeholder, in a packet without attachments.
async fn b23_forged_placeholder_is_an_ordinary_object(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let forged = json!({ "_placeholder": true, "num": 0 });
    for body in [forged.clone(), json!({ "inside": [forged] })] {
        let echo = post(&client, json!({}), body.clone()).await;
        let (text, kind) = seen(&echo);
        assert_eq!(serde_json::from_str(&text).ok(), Some(body));
        assert_eq!(kind, ["application/json; charset=utf-8"]);
    }
}

/// Sends an extra argument, which is ignored but makes the packet a binary one.
async fn b23_placeholder_out_of_range_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for number in [
        json!(1),
        json!(7),
        json!(-1),
        json!(0.5),
        json!("0"),
        json!(null),
    ] {
        let forged = json!({ "_placeholder": true, "num": number });
        for body in [forged.clone(), json!([forged])] {
            let request = json!({ "method": "POST", "url": "/echo", "body": body });
            let args = json!([request, binary(&BYTES)]);
            let ack = refusing.client.socket().ask("request", args).await;
            refusing
                .refused(400, "placeholder", &Answer::of_ack(&ack), &request)
                .await;
        }
    }
}
