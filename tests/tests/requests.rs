//! `io("/hitchy").emit("request", …)`: the same request over a socket, with the official client.

use base64::Engine;
use hitchy_tests::clauses;
use hitchy_tests::clauses::Way;
use hitchy_tests::node::{Socket, binary};
use hitchy_tests::{Node, Server, guest, official_client};
use serde_json::{Value, json};

/// A server with the probe, and a client in `/hitchy`.
async fn probed(transport: &str) -> Option<(Server, Node, Socket)> {
    let node = official_client().await?;
    let server = Server::with("probe.wasm", guest("probe")).await;
    let options = json!({ "transports": [transport], "auth": { "user": "ann" } });
    let socket = node
        .connect_with(&server, "/hitchy", options)
        .await
        .expect("let in");
    Some((server, node, socket))
}

/// Sends a request and gives back what its callback got.
async fn ask(socket: &Socket, request: Value) -> Value {
    let ack = socket.ask("request", json!([request])).await;
    assert_eq!(ack.as_array().map(Vec::len), Some(1), "one argument: {ack}");
    let answer = ack[0].clone();
    let mut keys: Vec<_> = answer.as_object().expect("an object").keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["body", "headers", "statusCode"]);
    answer
}

async fn main_path(transport: &str) {
    let Some((_server, _node, socket)) = probed(transport).await else {
        return;
    };
    assert_eq!(socket.transport().await, transport);
    let answer = ask(&socket, json!({ "method": "GET", "url": "/hello/world" })).await;
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(
        answer["body"],
        json!({ "hello": "world" }),
        "a JSON answer arrives parsed"
    );
    assert_eq!(
        answer["headers"]["content-type"],
        "application/json; charset=utf-8"
    );

    let request = json!({
        "method": "post",
        "url": "/echo/a?b=c#fragment",
        "headers": { "X-Story": "told", "X-Many": ["1", "2"], "X-Number": 7 },
        "body": { "an": "object" },
    });
    let answer = ask(&socket, request).await;
    let echo = &answer["body"];
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["url"], "/echo/a?b=c");
    assert_eq!(echo["door"], "socket");
    assert_eq!(echo["socket"], socket.id());
    assert_eq!(
        echo["user"], "ann",
        "the request's context starts as a copy of the socket's"
    );
    assert_eq!(
        serde_json::from_str::<Value>(echo["body"].as_str().unwrap_or_default()).ok(),
        Some(json!({ "an": "object" }))
    );
    let headers = echo["headers"].as_array().expect("headers");
    for pair in [
        ["x-story", "told"],
        ["x-many", "1"],
        ["x-many", "2"],
        ["x-number", "7"],
        ["content-type", "application/json; charset=utf-8"],
    ] {
        assert!(headers.contains(&json!(pair)), "{pair:?} in {headers:?}");
    }
}

#[tokio::test]
async fn b_r_a_request_is_answered_over_websocket() {
    main_path("websocket").await;
}

#[tokio::test]
async fn b_r_a_request_is_answered_over_polling() {
    main_path("polling").await;
}

clauses! {
    request_websocket request_polling: b01_b05_method_is_get_by_default_and_root_is_a_url;
}

async fn b01_b05_method_is_get_by_default_and_root_is_a_url(way: Way) {
    let Some((_server, _node, socket)) = probed(way.transport()).await else {
        return;
    };
    for method in [
        json!({}),
        json!({ "method": "" }),
        json!({ "method": null }),
    ] {
        let mut request = method;
        request["url"] = json!("/echo");
        assert_eq!(ask(&socket, request).await["body"]["method"], "GET");
    }
    assert_eq!(ask(&socket, json!({ "url": "/" })).await["statusCode"], 404);
}

#[tokio::test]
async fn b03_b04_b11_b25_what_is_no_request_is_400() {
    let Some((server, _node, socket)) = probed("websocket").await else {
        return;
    };
    for request in [
        json!(null),
        json!("GET /echo"),
        json!([]),
        json!({}),
        json!({ "url": "" }),
        json!({ "url": 7 }),
        json!({ "url": "echo" }),
        json!({ "url": "http://127.0.0.1/echo" }),
        json!({ "url": "/echo /x" }),
        json!({ "url": "/echo", "method": 7 }),
        json!({ "url": "/echo", "method": "G E T" }),
        json!({ "url": "/echo", "headers": { "x": { "an": "object" } } }),
        json!({ "url": "/echo", "headers": { "x": "a\r\nb: c" } }),
        json!({ "url": "/echo", "headers": { "x\r\nb": "c" } }),
        json!({ "url": "/echo", "headers": { "content-type": "text/plain" }, "body": { "an": "object" } }),
    ] {
        let answer = ask(&socket, request.clone()).await;
        assert_eq!(answer["statusCode"], 400, "{request}: {answer}");
        assert_eq!(answer["body"]["code"], 400, "{request}: {answer}");
        assert!(answer["body"]["error"].is_string(), "{request}: {answer}");
    }
    let none = socket.ask("request", json!([])).await;
    assert_eq!(none[0]["statusCode"], 400, "{none}");
    assert_eq!(server.get("/hello/x").await.status, 200);
}

#[tokio::test]
async fn b15_to_b21_bodies_find_their_content_type() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let echo = async |headers: Value, body: Value| {
        let answer = ask(
            &socket,
            json!({ "method": "POST", "url": "/echo", "headers": headers, "body": body }),
        )
        .await;
        let headers = answer["body"]["headers"]
            .as_array()
            .expect("headers")
            .clone();
        let kind = headers
            .iter()
            .find(|pair| pair[0] == "content-type")
            .map(|pair| pair[1].clone());
        (answer["body"]["body"].clone(), kind.unwrap_or_default())
    };
    let json_type = json!("application/json; charset=utf-8");
    assert_eq!(
        echo(json!({}), json!([1, 2])).await,
        (json!("[1,2]"), json_type.clone())
    );
    assert_eq!(
        echo(json!({}), json!(true)).await,
        (json!("true"), json_type.clone())
    );
    assert_eq!(echo(json!({}), json!(1.5)).await, (json!("1.5"), json_type));
    let kept = json!({ "Content-Type": "Text/JSON; x=y" });
    assert_eq!(
        echo(kept, json!([1])).await,
        (json!("[1]"), json!("Text/JSON; x=y"))
    );
    assert_eq!(
        echo(json!({}), json!("text")).await,
        (json!("text"), json!("text/plain; charset=utf-8"))
    );
    let html = json!({ "content-type": "text/html" });
    assert_eq!(
        echo(html, json!("<b>")).await,
        (json!("<b>"), json!("text/html"))
    );
    assert_eq!(echo(json!({}), Value::Null).await, (json!(""), Value::Null));
    assert_eq!(
        echo(json!({}), binary(b"bytes")).await,
        (json!("bytes"), json!("application/octet-stream"))
    );
}

#[tokio::test]
async fn b22_bytes_inside_an_object_body_are_400() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let answer = ask(
        &socket,
        json!({ "url": "/echo", "method": "POST", "body": { "file": binary(b"x") } }),
    )
    .await;
    assert_eq!(answer["statusCode"], 400, "{answer}");
    assert!(
        answer["body"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("binary")),
        "{answer}"
    );
}

#[tokio::test]
async fn b12_the_handshake_tells_who_the_client_is() {
    let Some(node) = official_client().await else {
        return;
    };
    let server = Server::with("probe.wasm", guest("probe")).await;
    let options = json!({ "extraHeaders": { "user-agent": "honest", "cookie": "s=1", "authorization": "Bearer handshake" } });
    let socket = node
        .connect_with(&server, "/hitchy", options)
        .await
        .expect("let in");
    let request = json!({
        "url": "/echo",
        "headers": { "User-Agent": "liar", "cookie": "s=2", "host": "evil", "x-forwarded-for": "1.2.3.4", "content-length": "7" },
    });
    let answer = ask(&socket, request).await;
    let headers = answer["body"]["headers"]
        .as_array()
        .expect("headers")
        .clone();
    let named = |name: &str| {
        headers
            .iter()
            .filter(|pair| pair[0] == name)
            .map(|pair| pair[1].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(named("user-agent"), ["honest"]);
    assert_eq!(named("cookie"), ["s=1"]);
    assert_ne!(named("host"), ["evil"]);
    assert_eq!(
        named("authorization"),
        Vec::<Value>::new(),
        "never inherited"
    );
    assert_eq!(named("x-forwarded-for"), Vec::<Value>::new());
    assert_eq!(named("content-length"), Vec::<Value>::new());
}

#[tokio::test]
async fn r02_r04_to_r08_answers_arrive_as_what_they_are() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let wish = async |wish: Value| {
        ask(
            &socket,
            json!({ "method": "POST", "url": "/answer", "body": wish }),
        )
        .await
    };
    let typed =
        |kind: &str, body: &str| json!({ "headers": [["content-type", kind]], "body": body });
    assert_eq!(
        wish(typed("application/problem+json", "{\"a\":[1]}")).await["body"],
        json!({ "a": [1] })
    );
    assert_eq!(
        wish(typed("application/json", "{no json")).await["body"],
        "{no json"
    );
    assert_eq!(
        wish(typed("text/html; charset=utf-8", "<p>ü</p>")).await["body"],
        "<p>ü</p>"
    );
    assert_eq!(
        wish(typed("image/png", "png")).await["body"],
        binary(b"png")
    );
    let bytes = json!({ "headers": [["content-type", "text/plain"]], "hex": "ff00" });
    assert_eq!(wish(bytes).await["body"], binary(&[0xff, 0]));
    assert_eq!(
        wish(json!({ "status": 204, "body": "" })).await["body"],
        Value::Null
    );
    assert_eq!(
        wish(json!({ "status": 200, "body": "" })).await["body"],
        Value::Null
    );
    let answer = wish(json!({ "status": 302, "headers": [["Location", "/x"], ["x-a", "1"], ["X-A", "2"]], "body": "" })).await;
    assert_eq!(answer["statusCode"], 302, "R12: not followed");
    assert_eq!(answer["headers"]["location"], "/x");
    assert_eq!(answer["headers"]["x-a"], "1, 2");
    for name in ["date", "connection", "content-length", "transfer-encoding"] {
        assert!(answer["headers"].get(name).is_none(), "{name} in {answer}");
    }
}

#[tokio::test]
async fn r08_head_has_no_body() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let answer = ask(&socket, json!({ "method": "HEAD", "url": "/hello/x" })).await;
    assert_eq!(
        (answer["statusCode"].clone(), answer["body"].clone()),
        (json!(200), Value::Null)
    );
}

#[tokio::test]
async fn r09_r10_errors_have_the_same_shape_as_through_http() {
    let Some((server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let answer = ask(&socket, json!({ "url": "/nobody/home" })).await;
    let http = server.get("/nobody/home").await;
    assert_eq!(answer["statusCode"], 404);
    assert_eq!(
        answer["body"]["error"],
        http.json()["error"],
        "both doors say the same"
    );
    assert_eq!(answer["body"]["code"], 404);

    let answer = ask(&socket, json!({ "method": "DELETE", "url": "/hello/x" })).await;
    assert_eq!(answer["statusCode"], 405);
    assert!(
        answer["headers"]["allow"]
            .as_str()
            .is_some_and(|allow| allow.contains("GET")),
        "{answer}"
    );

    let answer = ask(&socket, json!({ "url": "/traps/x" })).await;
    assert_eq!(
        (answer["statusCode"].clone(), answer["body"]["code"].clone()),
        (json!(500), json!(500))
    );
    let id = answer["body"]["id"].as_str().expect("an id");
    assert_eq!(answer["headers"]["x-request-id"], id);
    server.wait_for_log(&["probe", id]).await;
}

#[tokio::test]
async fn b27_requests_of_one_socket_run_side_by_side() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let calls = [
        json!(["request", { "url": "/slow/600" }]),
        json!(["request", { "url": "/hello/quick" }]),
    ];
    let came = socket.ask_all(&calls).await;
    assert_eq!(
        came[0]["index"], 1,
        "the quick one is answered first: {came:?}"
    );
    assert_eq!(came[1]["ack"][0]["body"], json!({ "slept": 600 }));
}

#[tokio::test]
async fn b24_without_a_callback_the_request_runs_all_the_same() {
    let Some((server, node, socket)) = probed("websocket").await else {
        return;
    };
    let listener = node.connect(&server, "/").await;
    socket.emit("request", json!([{ "url": "/slow/1" }])).await;
    assert_eq!(listener.wait_event("slow-done").await, json!([1]));
}

#[tokio::test]
async fn b28_another_event_in_hitchy_is_404_when_an_ack_is_wanted() {
    let Some((_server, _node, socket)) = probed("websocket").await else {
        return;
    };
    socket.emit("other", json!([1])).await;
    let ack = socket.ask("other", json!([1])).await;
    assert_eq!(ack[0]["error"]["code"], 404, "{ack}");
}

#[tokio::test]
async fn a3_request_in_the_root_namespace_is_an_ordinary_event() {
    let Some((server, node, _socket)) = probed("websocket").await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let ack = socket.ask("request", json!([{ "url": "/hello/x" }])).await;
    assert_eq!(ack, json!(["custom", [{ "url": "/hello/x" }]]));
}

#[tokio::test]
async fn both_doors_give_the_guest_the_same_request() {
    let Some((server, _node, socket)) = probed("websocket").await else {
        return;
    };
    let http = server
        .request(
            "PUT",
            "/echo/x/?q=%41",
            &[("x-a", "1"), ("content-type", "text/plain")],
            b"body",
        )
        .await
        .json();
    let request = json!({ "method": "PUT", "url": "/echo/x/?q=%41", "headers": { "x-a": "1", "content-type": "text/plain" }, "body": "body" });
    let over_socket = ask(&socket, request).await["body"].clone();
    for key in ["method", "url", "rest", "body", "size"] {
        assert_eq!(http[key], over_socket[key], "{key}");
    }
}

#[tokio::test]
async fn dispatch_runs_a_request_from_inside() {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let results = server
        .script(&json!([
            { "do": "dispatch", "method": "GET", "url": "/hello/inside" },
            { "do": "dispatch", "method": "POST", "url": "/echo?x=1", "headers": [["x-in", "1"]], "body": "b" },
            { "do": "dispatch", "method": "GET", "url": "/nobody" },
            { "do": "dispatch", "method": "GET", "url": "/guarded/x" },
        ]))
        .await;
    assert_eq!(
        results[0],
        json!({ "ok": { "status": 200, "body": { "hello": "inside" } } })
    );
    let echo = &results[1]["ok"]["body"];
    assert_eq!(
        (
            echo["door"].as_str(),
            echo["url"].as_str(),
            echo["body"].as_str()
        ),
        (Some("dispatch"), Some("/echo?x=1"), Some("b"))
    );
    assert_eq!(results[2]["ok"]["status"], 404);
    assert_eq!(results[3]["ok"]["status"], 401, "policies are asked, too");
}

#[tokio::test]
async fn g16_dispatch_ends_four_deep_and_after_sixteen() {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let mut steps = json!([{ "do": "dispatch", "method": "GET", "url": "/hello/deepest" }]);
    for _ in 0..5 {
        steps = json!([{ "do": "dispatch", "method": "POST", "url": "/script", "body": steps.to_string() }]);
    }
    let mut result = server.script(&steps).await;
    let mut depth = 0;
    while result[0]["ok"]["body"].is_array() {
        result = result[0]["ok"]["body"].clone();
        depth += 1;
    }
    assert_eq!(result[0]["failed"]["code"], 508, "{result}");
    assert_eq!(depth, 4);
    let many: Vec<Value> = (0..17)
        .map(|_| json!({ "do": "dispatch", "method": "GET", "url": "/hello/x" }))
        .collect();
    let results = server.script(&Value::from(many)).await;
    assert_eq!(results[15]["ok"]["status"], 200);
    assert_eq!(results[16]["failed"]["code"], 429);
    server.assert_unharmed();
}

#[tokio::test]
async fn binary_answers_are_attachments_byte_for_byte() {
    let Some((_server, _node, socket)) = probed("polling").await else {
        return;
    };
    let body: Vec<u8> = (0..=255).collect();
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = ask(
        &socket,
        json!({ "method": "POST", "url": "/answer", "body": { "hex": hex } }),
    )
    .await;
    let text = answer["body"]["$binary"].as_str().expect("bytes");
    assert_eq!(
        base64::engine::general_purpose::STANDARD.decode(text).ok(),
        Some(body)
    );
}
