//! The files of `public/`: paths, versions and parts that are served. The files that are never served are in
//! `secret.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use hitchy_tests::clauses::Way;
use hitchy_tests::door::Answer;
use hitchy_tests::node::bytes;
use hitchy_tests::site::{PAGE, doors, public, site};
use hitchy_tests::{Client, Server, expect, scripted};
use serde_json::{Value, json};

#[tokio::test]
async fn files_are_what_they_are_through_every_door() {
    let server = site().start().await;
    for client in doors(&server).await {
        let page = client.get("/").await;
        assert_eq!((page.status, &page.body), (200, &json!(PAGE)));
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for name in ["etag", "last-modified", "x-request-id"] {
            assert!(page.header(name).is_some(), "{name}: {page:?}");
        }
        let data = client.get("/data.json?v=1").await;
        assert_eq!(data.body, json!({ "list": [1, 2] }));
        let picture = client.get("/picture.png").await;
        assert_eq!(bytes(&picture.body), b"\x89PNG\r\n\x1a\n\xff");
        for (path, kind) in [
            ("/style.css", "text/css; charset=utf-8"),
            ("/app.js", "text/javascript; charset=utf-8"),
            ("/data.json", "application/json"),
            ("/picture.png", "image/png"),
            ("/docs/a%20page.txt", "text/plain; charset=utf-8"),
            ("/docs/../style.css", "text/css; charset=utf-8"),
        ] {
            let answer = client.get(path).await;
            let seen = (answer.status, answer.header("content-type"));
            assert_eq!(seen, (200, Some(kind)), "{path}");
        }
        let empty = client.get("/empty.txt").await;
        assert_eq!((empty.status, empty.body), (200, Value::Null));
    }
}

#[tokio::test]
async fn both_doors_give_the_same_answers() {
    let server = site().start().await;
    let etag = etag(&server.get("/style.css").await);
    let clients = doors(&server).await;
    for request in [
        json!({ "url": "/" }),
        json!({ "url": "/docs" }),
        json!({ "url": "/docs/?a=b" }),
        json!({ "url": "/docs/nobody" }),
        json!({ "url": "/style.css/" }),
        json!({ "url": "/.env" }),
        json!({ "url": "/style.css", "method": "HEAD" }),
        json!({ "url": "/style.css", "method": "DELETE" }),
        json!({ "url": "/style.css", "method": "OPTIONS" }),
        json!({ "url": "/style.css", "headers": { "range": "bytes=0-1" } }),
        json!({ "url": "/style.css", "headers": { "range": "bytes=99-" } }),
        json!({ "url": "/style.css", "headers": { "if-none-match": etag } }),
        json!({ "url": "/style.css", "headers": { "if-match": "\"other\"" } }),
        json!({ "url": "/picture.png" }),
    ] {
        let mut answers = Vec::new();
        for client in &clients {
            answers.push(client.ask(request.clone()).await.without_id());
        }
        assert!(
            answers.windows(2).all(|two| two[0] == two[1]),
            "{answers:?}"
        );
    }
}

#[tokio::test]
async fn a_route_wins_over_a_file_and_a_file_over_405() {
    let routes = "name routes\nroute GET /style.css\nroute POST /app.js\nroute POST /nobody";
    let server = site()
        .handler("routes.wasm", scripted(routes))
        .start()
        .await;
    for client in doors(&server).await {
        assert_eq!(client.get("/style.css").await.body["name"], "routes");
        assert_eq!(client.get("/app.js").await.body, "console.log(1)");
        assert_eq!(client.post("/app.js", json!({})).await.body["route"], 1);
        assert_eq!(client.get("/nobody").await.status, 405);
        let deleted = json!({ "method": "DELETE", "url": "/app.js" });
        let deleted = client.ask(deleted).await;
        assert_eq!(deleted.status, 405, "only GET and HEAD are for files");
        let posted = client.post("/data.json", json!({})).await;
        expect::refusal(&posted, 404);
    }
}

#[tokio::test]
async fn what_a_guest_dispatches_reaches_files_within_the_limit() {
    let server = site()
        .file("public/large.bin", vec![b'x'; 5000])
        .settings("[server]\nanswer-limit = \"4KiB\"")
        .start()
        .await;
    let steps = json!([
        { "do": "dispatch", "method": "GET", "url": "/style.css" },
        { "do": "dispatch", "method": "HEAD", "url": "/large.bin" },
        { "do": "dispatch", "method": "GET", "url": "/large.bin" },
        { "do": "dispatch", "method": "GET", "url": "/nobody.css" },
    ]);
    let results = server.script(&steps).await;
    assert_eq!(results[0]["ok"]["body"], "h1 { color: teal }");
    assert_eq!(results[1]["ok"], json!({ "status": 200, "body": "" }));
    assert_eq!(results[2]["ok"]["status"], 502, "{results}");
    assert_eq!(results[3]["ok"]["status"], 404);
}

#[tokio::test]
async fn head_says_the_length_and_sends_nothing() {
    let server = site().start().await;
    let answer = server.request("HEAD", "/style.css", &[], b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("18"));
    let ranged = [("range", "bytes=0-1")];
    let answer = server.request("HEAD", "/style.css", &ranged, b"").await;
    assert_eq!(answer.status, 200, "ranges are for GET");
}

fn etag(answer: &hitchy_tests::http::Answer) -> String {
    answer
        .header("etag")
        .expect("a file has an etag")
        .to_owned()
}

#[tokio::test]
async fn a_copy_is_asked_about_and_a_change_on_disk_is_seen() {
    let server = site().start().await;
    let first = server.get("/style.css").await;
    let modified = first.header("last-modified").expect("a date").to_owned();
    let etag = etag(&first);
    for (name, value) in [
        ("if-none-match", etag.as_str()),
        ("if-none-match", "*"),
        ("if-modified-since", modified.as_str()),
    ] {
        let answer = server
            .request("GET", "/style.css", &[(name, value)], b"")
            .await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (304, 0),
            "{name}: {value}"
        );
        assert_eq!(answer.header("etag"), Some(etag.as_str()));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    fs::write(public(&server, "style.css"), "h1 { color: tomato }").expect("written");
    let headers = [("if-none-match", etag.as_str())];
    let answer = server.request("GET", "/style.css", &headers, b"").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "h1 { color: tomato }")
    );
    let stale = [("if-match", etag.as_str())];
    let answer = server.request("GET", "/style.css", &stale, b"").await;
    expect::failure(&answer, 412);
}

#[tokio::test]
async fn parts_are_parts_of_one_version() {
    let server = site().file("public/ten.txt", "0123456789").start().await;
    let part = async |headers: &[(&str, &str)]| {
        let answer = server.request("GET", "/ten.txt", headers, b"").await;
        let range = answer.header("content-range").map(str::to_owned);
        (answer.status, answer.text(), range)
    };
    let of = |range: &str| Some(format!("bytes {range}/10"));
    assert_eq!(
        part(&[("range", "bytes=2-4")]).await,
        (206, "234".into(), of("2-4"))
    );
    assert_eq!(
        part(&[("range", "bytes=-3")]).await,
        (206, "789".into(), of("7-9"))
    );
    assert_eq!(
        part(&[("range", "bytes=8-")]).await,
        (206, "89".into(), of("8-9"))
    );
    let whole = (200, "0123456789".to_owned(), None);
    assert_eq!(part(&[("range", "bytes=0-1,4-5")]).await, whole);
    assert_eq!(part(&[("range", "lines=0-1")]).await, whole);
    let etag = etag(&server.get("/ten.txt").await);
    assert_eq!(
        part(&[("range", "bytes=0-0"), ("if-range", &etag)]).await.0,
        206
    );
    let other = [("range", "bytes=0-0"), ("if-range", "\"another\"")];
    assert_eq!(
        part(&other).await,
        whole,
        "a part of another version is of no use"
    );
    let beyond = server
        .request("GET", "/ten.txt", &[("range", "bytes=10-")], b"")
        .await;
    expect::failure(&beyond, 416);
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    let range = [("range", "bytes=0-")];
    let empty = server.request("GET", "/empty.txt", &range, b"").await;
    let seen = (empty.status, empty.header("content-range"));
    assert_eq!(seen, (200, None), "nothing has no parts");
}

#[tokio::test]
async fn compressed_copies_go_to_those_who_accept_them() {
    let server = site()
        .file("public/app.js.gz", "gzipped")
        .file("public/app.js.br", "brotli")
        .file("public/style.css.gz", "gzipped")
        .start()
        .await;
    for (path, accepted, encoding, body) in [
        ("/app.js", None, None, "console.log(1)"),
        ("/app.js", Some("gzip"), Some("gzip"), "gzipped"),
        ("/app.js", Some("gzip, br"), Some("br"), "brotli"),
        ("/app.js", Some("br;q=0, gzip"), Some("gzip"), "gzipped"),
        ("/app.js", Some("zstd"), None, "console.log(1)"),
        ("/style.css", Some("br, gzip"), Some("gzip"), "gzipped"),
        ("/data.json", Some("br, gzip"), None, "{\"list\":[1, 2]}"),
    ] {
        let headers: Vec<_> = accepted
            .map(|value| ("accept-encoding", value))
            .into_iter()
            .collect();
        let answer = server.request("GET", path, &headers, b"").await;
        let seen = (
            answer.status,
            answer.header("content-encoding"),
            answer.text(),
        );
        assert_eq!(
            seen,
            (200, encoding, body.to_owned()),
            "{path} {accepted:?}"
        );
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(
            !kind.contains("gzip"),
            "the type is that of the file: {kind}"
        );
    }
}

#[tokio::test]
async fn a_compressed_copy_that_cannot_be_served_hides_nothing() {
    let server = site().file("copy.gz", "outside").start().await;
    symlink(
        server.dir().join("copy.gz"),
        public(&server, "style.css.gz"),
    )
    .expect("a link");
    let accepted = [("accept-encoding", "gzip")];
    let answer = server.request("GET", "/style.css", &accepted, b"").await;
    let seen = (answer.status, answer.header("content-encoding"));
    assert_eq!(seen, (200, None));
    server.wait_for_log(&["copy.gz", "outside of"]).await;
}

#[tokio::test]
async fn a_folder_is_its_page_or_nothing() {
    let server = site().file("public/bare/x.txt", "x").start().await;
    let moved = server.get("/docs?a=b").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (307, Some("/docs/?a=b"))
    );
    let moved = server.get("//docs").await;
    assert_eq!(
        moved.header("location"),
        Some("/docs/"),
        "never to another host"
    );
    assert_eq!(server.get("/docs/").await.text(), "<h1>Docs</h1>");
    for path in [
        "/bare",
        "/bare/",
        "/bare/x.txt/",
        "/bare/x.txt/y",
        "/style.css/",
    ] {
        expect::failure(&server.get(path).await, 404);
        let head = server.request("HEAD", path, &[], b"").await;
        assert_eq!(head.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_folder_may_come_later_and_is_a_setting() {
    let server = Server::prepare()
        .settings("[server]\npublic = \"site\"")
        .start()
        .await;
    expect::failure(&server.get("/late.txt").await, 404);
    fs::create_dir(server.dir().join("site")).expect("a folder");
    fs::write(server.dir().join("site/late.txt"), "here").expect("written");
    assert_eq!(server.get("/late.txt").await.text(), "here");
}

#[tokio::test]
async fn a_socket_gets_a_file_within_the_limit_or_502() {
    let server = site()
        .file("public/fits.txt", "x".repeat(4096))
        .file("public/large.txt", "x".repeat(4097))
        .settings("[server]\nanswer-limit = \"4KiB\"")
        .start()
        .await;
    let Some(client) = Client::open(Way::RequestWebsocket, &server).await else {
        return;
    };
    let fits: Answer = client.get("/fits.txt").await;
    assert_eq!(fits.body.as_str().map(str::len), Some(4096));
    let sentence = expect::refusal(&client.get("/large.txt").await, 502);
    assert!(sentence.contains("over HTTP"), "{sentence}");
    let head = json!({ "method": "HEAD", "url": "/large.txt" });
    assert_eq!(client.ask(head).await.status, 200);
    let part = json!({ "url": "/large.txt", "headers": { "range": "bytes=0-9" } });
    assert_eq!(client.ask(part).await.body, "xxxxxxxxxx");
    assert_eq!(
        server.get("/large.txt").await.body.len(),
        4097,
        "HTTP streams it"
    );
}
