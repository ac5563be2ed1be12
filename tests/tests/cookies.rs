//! Cookies over a socket: page scripts cannot read them, and the connection remembers them.

use hitchy_tests::clauses::Way;
use hitchy_tests::door::{Answer, probed};
use hitchy_tests::{Client, Server, clauses, guest};
use serde_json::json;

clauses! {
    request_websocket request_polling:
        r03_set_cookie_is_withheld_and_remembered
        r03_what_is_remembered_is_laid_over_the_handshakes
        r03_an_expiry_in_the_past_deletes
        r03_a_request_cannot_override_what_is_remembered
        r03_a_setting_passes_set_cookie_on;
    http: r03_over_http_cookies_are_the_clients_own;
}

/// Lets the guest set these cookies.
async fn set(client: &Client, cookies: &[&str]) -> Answer {
    let headers: Vec<_> = cookies
        .iter()
        .map(|cookie| json!(["set-cookie", cookie]))
        .collect();
    let answer = client.post("/answer", json!({ "headers": headers, "body": "set" }));
    let answer = answer.await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// Returns the cookies that the guest sees, sorted.
async fn seen(client: &Client) -> Vec<String> {
    let lines = client.get("/echo").await.seen("cookie");
    assert!(lines.len() <= 1, "one header: {lines:?}");
    let cookies = lines.iter().flat_map(|line| line.split("; "));
    let mut cookies: Vec<_> = cookies.map(str::to_owned).collect();
    cookies.sort_unstable();
    cookies
}

async fn r03_set_cookie_is_withheld_and_remembered(way: Way) {
    let Some((server, client)) = probed(way).await else {
        return;
    };
    let answer = set(
        &client,
        &["a=1; Path=/; HttpOnly; Secure; SameSite=Strict", "b=2"],
    )
    .await;
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    assert_eq!(seen(&client).await, ["a=1", "b=2"]);
    set(&client, &["b=two=2; Max-Age=1000", "c=\"3\""]).await;
    assert_eq!(seen(&client).await, ["a=1", "b=two=2", "c=\"3\""]);
    // Failures also set cookies. An invalid cookie is ignored.
    let headers = json!([
        ["set-cookie", "d=4"],
        ["set-cookie", "nonsense"],
        ["set-cookie", "=5"]
    ]);
    let failed = json!({ "status": 400, "headers": headers, "body": "no" });
    assert_eq!(client.post("/answer", failed).await.status, 400);
    assert_eq!(seen(&client).await, ["a=1", "b=two=2", "c=\"3\"", "d=4"]);
    // Each connection has its own cookies.
    let other = Client::open(way, &server).await.expect("as the first");
    assert_eq!(seen(&other).await, Vec::<String>::new());
}

async fn r03_what_is_remembered_is_laid_over_the_handshakes(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "cookie": "session=old; theme=dark" });
    let Some(client) = Client::open_as(way, &server, identity).await else {
        return;
    };
    assert_eq!(seen(&client).await, ["session=old", "theme=dark"]);
    set(&client, &["session=new"]).await;
    assert_eq!(seen(&client).await, ["session=new", "theme=dark"]);
}

async fn r03_an_expiry_in_the_past_deletes(way: Way) {
    let server = Server::with("probe.wasm", guest("probe")).await;
    let identity = json!({ "cookie": "s=1; kept=1" });
    let Some(client) = Client::open_as(way, &server, identity).await else {
        return;
    };
    for gone in [
        "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "a=1; Max-Age=0",
        "a=1; max-age=-1; Path=/",
        // RFC 6265, 5.3: `Max-Age` has priority over `Expires`.
        "a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT; Max-Age=0",
    ] {
        set(&client, &["a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT"]).await;
        assert_eq!(seen(&client).await, ["a=1", "kept=1", "s=1"]);
        set(&client, &[gone]).await;
        assert_eq!(seen(&client).await, ["kept=1", "s=1"], "{gone}");
    }
    set(&client, &["s=; Max-Age=0"]).await;
    assert_eq!(seen(&client).await, ["kept=1"], "the handshake's, too");
    set(&client, &["kept=; Max-Age=0"]).await;
    assert_eq!(seen(&client).await, Vec::<String>::new());
}

async fn r03_a_request_cannot_override_what_is_remembered(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    set(&client, &["a=1"]).await;
    let lies = json!({ "url": "/echo", "headers": { "Cookie": "a=2; b=2" } });
    assert_eq!(client.ask(lies).await.seen("cookie"), ["a=1"]);
}

async fn r03_a_setting_passes_set_cookie_on(way: Way) {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[socket]\nset-cookie = \"pass\"")
        .start()
        .await;
    let Some(client) = Client::open(way, &server).await else {
        return;
    };
    for cookies in [&["a=1; Path=/; HttpOnly"][..], &["b=2", "c=3, 4"]] {
        let answer = set(&client, cookies).await;
        assert_eq!(answer.headers["set-cookie"], json!(cookies));
    }
    assert_eq!(seen(&client).await, ["a=1", "b=2", "c=3, 4"]);
}

async fn r03_over_http_cookies_are_the_clients_own(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let answer = set(&client, &["a=1; Path=/", "b=2"]).await;
    assert_eq!(answer.headers["set-cookie"], json!(["a=1; Path=/", "b=2"]));
    assert_eq!(seen(&client).await, Vec::<String>::new());
}
