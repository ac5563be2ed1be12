//! Components of `wasi:http` that were not made for this server, unchanged, over HTTP and over `request`.

use hitchy_tests::http::{Connection, request};
use hitchy_tests::site::doors;
use hitchy_tests::stock;
use hitchy_tests::wait::{SOON, eventually};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};

/// Starts a server with a site at `/site`. The engines of these languages are compiled for a long time.
async fn serving(site: Vec<u8>) -> Server {
    // Their engines start in each call, on a machine that may be busy.
    let limits = "cpu = \"20s\"\ndeadline = \"50s\"";
    let plan = Server::prepare()
        .handler("site.wasm", site)
        .handler("site.toml", limits);
    let server = plan.start_at_once().await;
    eventually("the site is loaded", SOON * 18, async || {
        (server.get("/healthz-of-nobody").await.status == 404).then_some(())
    })
    .await;
    server
}

/// Sends a body to `/site/echo` over HTTP and through every door, and asserts that it comes back.
async fn assert_echoes(server: &Server) {
    let large = "x".repeat(300_000);
    let answer = server
        .request("POST", "/site/echo", &[], large.as_bytes())
        .await;
    assert_eq!((answer.status, answer.body.len()), (200, large.len()));
    for client in doors(server).await {
        let echo = json!({ "method": "POST", "url": "/site/echo", "body": "said" });
        let answer = client.ask(echo).await;
        assert_eq!((answer.status, &answer.body), (200, &json!("said")));
    }
}

#[tokio::test]
async fn d08_the_example_of_the_crate_wasip2_answers_as_it_is() {
    let server = Server::with("site.wasm", guest("hello_proxy")).await;
    for client in doors(&server).await {
        let answer = client.get("/site").await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(server.get("/site/a").await.text(), "Hello, WASI!");
}

#[tokio::test]
async fn d08_a_site_of_componentize_js_answers_as_it_is() {
    let server = serving(stock::javascript()).await;
    for client in doors(&server).await {
        let asked = json!({ "url": "/site/a/b?x=1", "headers": { "x-mine": "me" } });
        let answer = client.ask(asked).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.headers["x-by"], "javascript");
        let told = json!({ "method": "GET", "path": "/site/a/b", "query": "?x=1", "by": "me" });
        assert_eq!(answer.body, told);
        let events = client.get("/site/events").await;
        assert_eq!(events.body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
        assert_eq!(client.get("/site/fails").await.status, 500);
    }
    assert_echoes(&server).await;
    // Over HTTP the events come one by one, which shows in the framing: a chunk for each.
    let mut connection = Connection::open(server.addr()).await;
    let close: [(&str, &str); 1] = [("connection", "close")];
    let sent = connection
        .send(request("GET", "/site/events", &close, b""))
        .await;
    sent.expect("sent");
    let wire = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert!(wire.contains("transfer-encoding: chunked"), "{wire}");
    assert_eq!(wire.matches("9\r\ndata: ").count(), 3, "{wire}");
}

#[tokio::test]
async fn d08_a_site_of_componentize_py_answers_as_it_is() {
    let server = serving(stock::python()).await;
    for client in doors(&server).await {
        let answer = client.get("/site/a/b?x=1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-by"], "python");
        assert_eq!(answer.body, Value::from("Get /site/a/b?x=1"));
    }
    assert_echoes(&server).await;
}
