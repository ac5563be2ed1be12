//! Components of `wasi:http`: where they are served, what they answer, and how calls end that go wrong before that. What
//! streams is in `wasi_http_streams.rs`.

use hitchy_tests::clauses::{Way, skip};
use hitchy_tests::commands::{folder, hitchy, out};
use hitchy_tests::components::{answering_and_declaring, answering_wasi_http, exporting};
use hitchy_tests::door::Client;
use hitchy_tests::http::Connection;
use hitchy_tests::raw::RawSocket;
use hitchy_tests::streams::{shop, until_ended, until_streaming};
use hitchy_tests::wait::{SOON, within};
use hitchy_tests::{Server, clauses, guest, scripted};
use serde_json::json;

clauses! {
    http request_websocket request_polling:
        d08_a_stock_component_answers_through_every_door
        r13_what_streams_is_collected_for_a_socket_up_to_the_limit;
}

#[tokio::test]
async fn d08_it_answers_the_path_of_its_file_and_everything_below() {
    let server = shop()
        .handler("index.wasm", guest("proxy"))
        .handler("docs/index.wasm", guest("proxy"))
        .file("public/page.html", "a page")
        .file("public/index.html", "the first page")
        .start()
        .await;
    let head = server.get("/api/shop/a/head?x=1&y").await.text();
    assert!(head.contains("target /api/shop/a/head?x=1&y"), "{head}");
    assert!(head.contains("authority localhost"), "{head}");
    for (target, text) in [
        ("/api/shop", "Method::Get shop"),
        ("/api/shop/", "Method::Get shop"),
        ("/api/shop/a/b", "Method::Get b"),
        ("/docs", "Method::Get docs"),
        ("/docs/a", "Method::Get a"),
        // What nothing else answers: neither a file nor another handler.
        ("/api/shopping", "Method::Get shopping"),
        ("/page.html", "a page"),
        ("/", "the first page"),
    ] {
        assert_eq!(server.get(target).await.text(), text, "{target}");
    }
    for (method, text) in [
        ("POST", "Method::Post x"),
        ("OPTIONS", "Method::Options x"),
        ("PURGE", "Method::Other(\"PURGE\") x"),
    ] {
        let answer = server.request(method, "/api/shop/x", &[], b"").await;
        assert_eq!((answer.status, answer.text()), (200, text.to_owned()));
        assert_eq!(answer.header("x-by"), Some("proxy"));
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn i12_6_declared_routes_inside_win_and_equal_ones_are_a_conflict() {
    let server = shop()
        .handler(
            "cart.wasm",
            scripted("name cart\nroute GET /api/shop/cart\nroute GET /api/shop"),
        )
        .handler("api/shop/index.wasm", guest("proxy"))
        .start()
        .await;
    let conflict = [
        "api/shop/index.wasm: refused",
        "route * /api/shop and below (wasi:http) is already served by api/shop.wasm",
    ];
    server.wait_for_log(&conflict).await;
    let by = async |method: &str, target: &str| {
        let answer = server.request(method, target, &[], b"").await;
        (answer.status, answer.header("x-by").is_some())
    };
    assert_eq!(by("GET", "/api/shop/cart").await, (200, false));
    assert_eq!(by("GET", "/api/shop").await, (200, false));
    assert_eq!(by("POST", "/api/shop").await, (200, true));
    assert_eq!(by("GET", "/api/shop/other").await, (200, true));
    // The path belongs to the file that declares it, for every method.
    assert_eq!(by("POST", "/api/shop/cart").await, (405, false));
    server.remove("api/shop.wasm");
    server.wait_for_log(&["api/shop/index.wasm: loaded"]).await;
    assert_eq!(by("GET", "/api/shop/other").await, (200, true));
}

#[tokio::test]
async fn i12_6_lists_say_what_it_answers() {
    let server = shop().start().await;
    let line = "* /api/shop and below (wasi:http)";
    server.wait_for_log(&["api/shop.wasm: loaded", line]).await;
    assert!(server.out().all().iter().any(|shown| shown.contains(line)));
    let routes = server.ask_console("/api/routes").await.json();
    let path = &routes["routes"][0]["path"];
    assert_eq!(path, "/api/shop and below (wasi:http)");
    let handlers = server.ask_console("/api/handlers").await.json();
    assert_eq!(
        handlers["handlers"][0]["limits"]["streamDeadlineMs"],
        300_000
    );
    let folder = folder();
    let file = folder.path().join("shop.wasm");
    std::fs::write(&file, guest("proxy")).expect("written");
    let listed = out(&hitchy(folder.path(), &["routes", "--handlers", "."]));
    assert!(listed.contains("/shop and below (wasi:http)"), "{listed}");
    let inspected = out(&hitchy(folder.path(), &["inspect", "shop.wasm"]));
    assert!(
        inspected.contains("/shop and below (wasi:http)"),
        "{inspected}"
    );
}

async fn d08_a_stock_component_answers_through_every_door(way: Way) {
    let server = shop().start().await;
    let Some(client) = Client::open(way, &server).await else {
        return skip();
    };
    let answer = client.get("/api/shop/x").await;
    assert_eq!(
        (answer.status, &answer.headers["x-by"]),
        (200, &json!("proxy"))
    );
    assert!(answer.headers.contains_key("x-request-id"));
    let body = json!({ "method": "POST", "url": "/api/shop/count", "body": "12345" });
    let answer = client.ask(body).await;
    assert_eq!((answer.status, &answer.body), (200, &json!("5 bytes")));
    let headers = json!({ "x-mine": "yes", "te": "trailers" });
    let head = json!({ "url": "/api/shop/a/head?x=1", "headers": headers });
    let answer = client.ask(head).await;
    let text = answer.body.as_str().expect("a text");
    for line in [
        "method Method::Get",
        "target /api/shop/a/head?x=1",
        "header x-mine: yes",
    ] {
        assert!(text.contains(line), "{line} is missing: {text}");
    }
    assert!(!text.contains("header te:"), "{text}");
    for (target, status) in [
        ("early", 500),
        ("none", 502),
        ("error", 502),
        ("headers?70", 502),
    ] {
        let answer = client.get(&format!("/api/shop/{target}")).await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        assert_eq!(answer.body["code"], status, "{target}");
    }
}

async fn r13_what_streams_is_collected_for_a_socket_up_to_the_limit(way: Way) {
    let limit = "[server]\nanswer-limit = \"100KiB\"";
    let server = shop().settings(limit).start().await;
    let Some(client) = Client::open(way, &server).await else {
        return skip();
    };
    let whole = client.get("/api/shop/big?102400").await;
    assert_eq!(whole.status, 200);
    let large = client.get("/api/shop/big?102401").await;
    if way == Way::Http {
        assert_eq!(large.status, 200, "there is no limit for what streams");
    } else {
        assert_eq!(large.status, 502);
        let error = large.body["error"].to_string();
        assert!(error.contains("server.answer-limit"), "{error}");
    }
    until_streaming(&server, 0.0).await;
}

#[tokio::test]
async fn r13_other_handlers_get_it_collected() {
    let server = shop().handler("probe.wasm", guest("probe")).start().await;
    let steps = json!([
        { "do": "dispatch", "method": "POST", "url": "/api/shop/count", "body": "12345" },
        { "do": "dispatch", "method": "GET", "url": "/api/shop/big?5000000" },
    ]);
    let told = server.script(&steps).await.to_string();
    assert!(told.contains("5 bytes") && told.contains("502"), "{told}");
}

#[tokio::test]
async fn d08_what_it_emits_reaches_every_socket() {
    let server = shop().start().await;
    let mut client = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    assert_eq!(server.get("/api/shop/emit").await.text(), "Ok(())");
    let packet = within("the event arrives", SOON, client.next()).await;
    let text = format!("{:?}", packet.expect("a packet"));
    assert!(text.contains("stock"), "{text}");
}

#[tokio::test]
async fn d08_head_has_the_head_of_get_and_no_body() {
    let server = shop().start().await;
    let mut connection = Connection::open(server.addr()).await;
    let answer = connection
        .ask("HEAD", "/api/shop/length?4,4", &[], b"")
        .await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("4"))
    );
    let answer = connection
        .ask("HEAD", "/api/shop/big?1000000", &[], b"")
        .await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    for status in [204, 304, 404] {
        let answer = connection
            .ask("GET", &format!("/api/shop/status?{status}"), &[], b"")
            .await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    for status in [100, 101, 199, 600] {
        let answer = connection
            .ask("GET", &format!("/api/shop/status?{status}"), &[], b"")
            .await;
        assert_eq!(answer.status, 502, "{status}");
    }
    assert_eq!(
        connection.ask("GET", "/api/shop/x", &[], b"").await.status,
        200
    );
}

#[tokio::test]
async fn d08_what_goes_wrong_before_the_head_is_an_answer() {
    let server = shop()
        .handler("api/shop.toml", "deadline = \"3s\"\ncpu = \"100ms\"")
        .start()
        .await;
    for (target, status) in [
        ("early", 500),
        ("none", 502),
        ("error", 502),
        ("unfinished", 502),
        ("sleep", 504),
        ("spin", 504),
    ] {
        assert_eq!(
            server.get(&format!("/api/shop/{target}")).await.status,
            status,
            "{target}"
        );
    }
    // What the guest has finished stands, whatever it does afterwards.
    for (target, text) in [("after", "whole"), ("exit", "whole"), ("leaked", "begun")] {
        let answer = server.get(&format!("/api/shop/{target}")).await;
        assert_eq!(answer.text(), text);
    }
    server
        .wait_for_log(&["the guest has ended without setting an answer"])
        .await;
    until_ended(&server, "trap", 3.0).await;
    until_ended(&server, "bad_answer", 3.0).await;
    until_ended(&server, "deadline", 1.0).await;
    until_ended(&server, "cpu", 1.0).await;
}

#[tokio::test]
async fn d08_policies_go_before_it() {
    let server = shop()
        .handler(
            "guard.wasm",
            scripted("name guard\nbefore * /api/shop\nguard x-token"),
        )
        .start()
        .await;
    assert_ne!(server.get("/api/shop/x").await.status, 200);
    let token = [("x-token", "yes")];
    let answer = server
        .request("POST", "/api/shop/count", &token, b"12345")
        .await;
    assert_eq!((answer.status, answer.text()), (200, "5 bytes".to_owned()));
    assert!(answer.header("x-passed").is_some(), "{answer:?}");
}

#[tokio::test]
async fn i12_6_every_version_of_wasi_http_0_2_is_served_and_no_other() {
    let mut plan = Server::prepare();
    for patch in 0..=12 {
        let component = answering_wasi_http(&format!("0.2.{patch}"));
        plan = plan.handler(&format!("v{patch}.wasm"), component);
    }
    let server = plan
        .handler("v3.0.wasm", exporting("wasi:http/handler@0.3.0", "handle"))
        .handler(
            "rc.wasm",
            exporting("wasi:http/incoming-handler@0.2.0-rc-2023-12-05", "handle"),
        )
        .handler("both.wasm", answering_and_declaring())
        .start()
        .await;
    for patch in 0..=12 {
        // It sets no answer.
        assert_eq!(
            server.get(&format!("/v{patch}/x")).await.status,
            502,
            "0.2.{patch}"
        );
    }
    server
        .wait_for_log(&[
            "v3.0.wasm",
            "component of wasi:http 0.3.0",
            "wasi:http 0.2 is what is served",
        ])
        .await;
    server
        .wait_for_log(&["rc.wasm", "component of wasi:http 0.2.0-rc-2023-12-05"])
        .await;
    // What describes itself is served as it says, which is nothing here.
    server
        .wait_for_log(&["both.wasm: loaded", "it declares nothing"])
        .await;
    assert_eq!(server.get("/both").await.status, 404);
}
