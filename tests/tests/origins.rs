//! The origins that are allowed: CORS as it is set, and the origins that may open sockets.

use hitchy_tests::clauses::Way;
use hitchy_tests::http::{Answer, Connection};
use hitchy_tests::{Server, clauses, expect, guest};

clauses! {
    http:
        r11_without_the_setting_there_is_no_cors
        r11_pages_of_listed_origins_may_ask_with_credentials
        r11_an_options_that_is_no_preflight_is_the_routes_own;
}

const OPEN_SESSION: &str = "/socket.io/?EIO=4&transport=polling";
const UPGRADE: &str = "/socket.io/?EIO=4&transport=websocket";
const FRIEND: &str = "https://app.example.com";
const STRANGER: &str = "https://evil.example.com";

async fn probed(settings: &str) -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(settings)
        .start()
        .await
}

async fn ask(server: &Server, method: &str, target: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-token"),
    ];
    server.request(method, target, &headers, b"").await
}

/// Returns the status of an attempt to open a websocket.
async fn upgrade(server: &Server, origin: Option<&str>) -> u16 {
    let mut headers = vec![
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(origin.map(|origin| ("origin", origin)));
    let answer = server.request("GET", UPGRADE, &headers, b"").await;
    answer.status
}

fn allowed(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (
        answer.header("access-control-allow-origin"),
        answer.header("access-control-allow-credentials"),
    )
}

#[tokio::test]
async fn s18_by_default_only_pages_of_this_server_open_sockets() {
    let server = probed("").await;
    for origin in [STRANGER, "null"] {
        expect::error(&ask(&server, "GET", OPEN_SESSION, origin).await, 403);
        assert_eq!(upgrade(&server, Some(origin)).await, 403);
    }
    // The origin is the host that the requests name.
    let own = "http://localhost";
    assert_eq!(ask(&server, "GET", OPEN_SESSION, own).await.status, 200);
    assert_eq!(upgrade(&server, Some(own)).await, 101);
    // Clients that are not browsers send no origin.
    assert_eq!(server.get(OPEN_SESSION).await.status, 200);
    assert_eq!(upgrade(&server, None).await, 101);
}

#[tokio::test]
async fn s18_origins_that_are_listed_open_sockets_too() {
    let server = probed(&format!("[server]\norigins = [{FRIEND:?}]")).await;
    assert_eq!(ask(&server, "GET", OPEN_SESSION, FRIEND).await.status, 200);
    assert_eq!(upgrade(&server, Some(FRIEND)).await, 101);
    assert_eq!(upgrade(&server, Some(STRANGER)).await, 403);
}

async fn r11_without_the_setting_there_is_no_cors(_: Way) {
    let server = probed("").await;
    for (method, target) in [("GET", "/hello/you"), ("OPTIONS", "/hello/you")] {
        let answer = ask(&server, method, target, FRIEND).await;
        assert_eq!(allowed(&answer), (None, None), "{answer:?}");
    }
}

async fn r11_pages_of_listed_origins_may_ask_with_credentials(_: Way) {
    let server = probed(&format!("[server]\ncors = [{FRIEND:?}]")).await;
    let preflight = ask(&server, "OPTIONS", "/hello/you", FRIEND).await;
    assert_eq!(preflight.status, 200);
    assert_eq!(allowed(&preflight), (Some(FRIEND), Some("true")));
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("POST")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("x-token")
    );
    for (target, status) in [("/hello/you", 200), ("/nothing", 404), (OPEN_SESSION, 200)] {
        let answer = ask(&server, "GET", target, FRIEND).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(allowed(&answer), (Some(FRIEND), Some("true")), "{target}");
        let answer = ask(&server, "GET", target, STRANGER).await;
        assert_eq!(allowed(&answer).0, None, "{target}");
    }
    assert_eq!(upgrade(&server, Some(FRIEND)).await, 101);
}

async fn r11_an_options_that_is_no_preflight_is_the_routes_own(_: Way) {
    let server = probed(&format!("[server]\ncors = [{FRIEND:?}]")).await;
    let answer = server.request("OPTIONS", "/hello/you", &[], b"").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let answer = server.request("OPTIONS", "/echo", &[], b"").await;
    assert_eq!(answer.json()["method"], "OPTIONS");
    expect::error(&server.request("OPTIONS", "/no", &[], b"").await, 404);
}

#[tokio::test]
async fn s18_everyone_may_ask_but_never_with_credentials() {
    let server = probed("[server]\ncors = [\"*\"]").await;
    let answer = ask(&server, "GET", "/hello/you", STRANGER).await;
    assert_eq!(allowed(&answer), (Some("*"), None));
}

#[tokio::test]
async fn s18_two_hosts_are_nobodys_own() {
    let server = probed("").await;
    let headers = [
        ("host", "evil.example.com"),
        ("host", "localhost"),
        ("origin", "http://evil.example.com"),
    ];
    let answer = server.request("GET", OPEN_SESSION, &headers, b"").await;
    expect::error(&answer, 400);
}

#[tokio::test]
async fn s18_who_is_turned_away_is_told_that_the_connection_ends() {
    let server = probed("").await;
    let body = vec![b'x'; 300_000];
    let answer = server
        .request("POST", OPEN_SESSION, &[("origin", STRANGER)], &body)
        .await;
    expect::error(&answer, 403);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn what_only_begins_like_the_path_of_sockets_is_a_request() {
    let server = probed("").await;
    expect::error(&server.get("/socket.iox").await, 404);
    let answer = ask(&server, "GET", "/socket.io-notes", STRANGER).await;
    expect::error(&answer, 404);
}

/// Opens a polling session with a host header of its own, as proxies write it.
async fn open_at(server: &Server, host: &str, origin: &str) -> u16 {
    let mut connection = Connection::open(server.addr()).await;
    let request = format!(
        "GET {OPEN_SESSION} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
    );
    connection.send(request).await.expect("sent");
    connection.read("GET").await.expect("an answer").status
}

#[tokio::test]
async fn i11_19_an_origin_is_the_same_with_its_default_port_and_in_capitals() {
    let server = probed(&format!("[server]\norigins = [{FRIEND:?}]")).await;
    for (host, origin, status) in [
        ("example.com", "https://example.com", 200),
        ("example.com:443", "https://example.com", 200),
        ("example.com", "https://example.com:443", 200),
        ("example.com:80", "http://example.com", 200),
        ("Example.COM", "http://example.com", 200),
        ("example.com:3000", "http://example.com:3000", 200),
        ("[::1]:80", "http://[::1]", 200),
        ("example.com", "https://APP.example.com", 200),
        ("example.com", "https://app.example.com:443", 200),
        ("example.com", "HTTPS://app.example.com", 200),
        ("example.com:443", "http://example.com", 403),
        ("example.com:3000", "http://example.com", 403),
        ("example.com", "http://example.com:3000", 403),
        ("example.com", "http://app.example.com", 403),
        ("example.com", "https://app.example.com:8443", 403),
        ("example.com", "null", 403),
        ("null", "null", 403),
        ("example.com", "example.com", 403),
        ("example.com", "https://example.com.evil.example", 403),
        ("example.com", "https://evil.example/example.com", 403),
        ("example.com", "", 403),
    ] {
        assert_eq!(
            open_at(&server, host, origin).await,
            status,
            "{origin} at {host}"
        );
    }
}

#[tokio::test]
async fn i11_19_cors_knows_a_listed_origin_in_every_spelling() {
    let server = probed(&format!("[server]\ncors = [{FRIEND:?}]")).await;
    for (origin, is_allowed) in [
        (FRIEND, true),
        ("https://APP.example.com", true),
        ("https://app.example.com:443", true),
        (STRANGER, false),
        ("null", false),
        ("*", false),
    ] {
        let answer = ask(&server, "GET", "/hello/ada", origin).await;
        let expected = is_allowed.then_some(origin);
        assert_eq!(allowed(&answer).0, expected, "{origin}");
        let vary = answer.headers_named("vary").join(", ");
        assert!(vary.contains("origin"), "{origin}: {vary}");
    }
}
