//! `server.fallback`, the page of an app with its own router, and routes that take every path.

use std::fs;
use std::os::unix::fs::symlink;

use hitchy_tests::http::Answer;
use hitchy_tests::site::{PAGE, doors, site};
use hitchy_tests::{Server, expect, scripted};
use serde_json::json;

/// What browsers send when they go to a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
const FALLBACK: &str = "[server]\nfallback = \"index.html\"";

async fn app() -> Server {
    let routes = "name shop\nroute GET /shop/items\nroute POST /orders\nroute GET /api/things";
    site()
        .handler("shop.wasm", scripted(routes))
        .settings(FALLBACK)
        .start()
        .await
}

async fn ask(server: &Server, method: &str, path: &str, accept: &str) -> Answer {
    server
        .request(method, path, &[("accept", accept)], b"")
        .await
}

#[tokio::test]
async fn i11_18_a_path_of_the_app_is_its_page() {
    let server = app().await;
    for path in [
        "/about",
        "/users/42/edit",
        "/about/",
        "/about?tab=1",
        "/%C3%BCber",
        "/v1.2/notes",
    ] {
        let answer = ask(&server, "GET", path, BROWSER).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, PAGE),
            "{path}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.headers_named("vary"), ["accept-encoding", "accept"]);
        let head = ask(&server, "HEAD", path, BROWSER).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let tag = answer.header("etag").expect("a tag");
        let headers = [("accept", BROWSER), ("if-none-match", tag)];
        let again = server.request("GET", path, &headers, b"").await;
        assert_eq!(again.status, 304, "{path}");
    }
    let file = ask(&server, "GET", "/style.css", BROWSER).await;
    assert_eq!(file.text(), "h1 { color: teal }");
    let moved = ask(&server, "GET", "/docs", BROWSER).await;
    assert_eq!(moved.header("location"), Some("/docs/"));
}

#[tokio::test]
async fn i11_18_who_does_not_ask_for_a_page_gets_the_failure() {
    let server = app().await;
    for accept in [
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "text/html;q=0",
        "",
    ] {
        let answer = ask(&server, "GET", "/about", accept).await;
        expect::failure(&answer, 404);
        assert_eq!(answer.headers_named("vary"), ["accept"], "{accept}");
    }
    expect::failure(&server.get("/about").await, 404);
    for (method, path, status) in [
        ("POST", "/about", 404),
        ("DELETE", "/about", 404),
        // Files that are missing, also those that nobody should ask for.
        ("GET", "/app-2.js", 404),
        ("GET", "/img/logo%2Epng", 404),
        ("GET", "/page.html", 404),
        ("GET", "/.env", 404),
        ("GET", "/.git/config", 404),
        ("GET", "/a%2Fb", 404),
        // What belongs to handlers.
        ("GET", "/api", 404),
        ("GET", "/api/unknown", 404),
        ("GET", "/api/things/9", 404),
        ("GET", "/shop", 404),
        ("GET", "/shop/unknown", 404),
        ("GET", "/orders", 405),
    ] {
        let answer = ask(&server, method, path, BROWSER).await;
        expect::failure(&answer, status);
    }
}

#[tokio::test]
async fn i11_18_both_doors_give_the_page_after_the_same_policies() {
    let policy = "name policy\nbefore * /admin\nguard x-token";
    let server = site()
        .handler("policy.wasm", scripted(policy))
        .settings(FALLBACK)
        .start()
        .await;
    for client in doors(&server).await {
        let ask = async |url: &str| {
            client
                .ask(json!({ "url": url, "headers": { "accept": BROWSER } }))
                .await
        };
        assert_eq!(ask("/about").await.body, json!(PAGE));
        assert_eq!(ask("/admin/users").await.status, 401);
        expect::refusal(&client.get("/about").await, 404);
    }
}

#[tokio::test]
async fn i11_18_without_the_setting_nothing_is_a_page() {
    let server = site().start().await;
    let answer = ask(&server, "GET", "/about", BROWSER).await;
    expect::failure(&answer, 404);
    assert_eq!(answer.header("vary"), None);
}

#[tokio::test]
async fn i11_18_the_page_lies_where_the_setting_says() {
    let server = site()
        .file("public/app/my page.html", "<p>mine")
        .settings("[server]\nfallback = \"/app/my page.html\"")
        .start()
        .await;
    assert_eq!(
        ask(&server, "GET", "/about", BROWSER).await.text(),
        "<p>mine"
    );
}

#[tokio::test]
async fn i11_18_a_page_that_cannot_be_served_is_named_at_the_start() {
    for (page, words) in [
        (
            "app.html",
            vec![
                "server.fallback",
                "no file app.html",
                "public",
                "put it there",
            ],
        ),
        ("style.css/x", vec!["no file style.css/x"]),
        ("docs", vec!["docs is a folder", "docs/index.html"]),
        ("out.html", vec!["out.html cannot be served", "outside of"]),
        (
            "../secret.txt",
            vec!["server.fallback", "below the public folder", "index.html"],
        ),
        ("/../secret.txt", vec!["below the public folder"]),
        (".env", vec!["below the public folder"]),
        ("/", vec!["below the public folder"]),
        ("a//b", vec!["below the public folder"]),
    ] {
        let plan = site()
            .file("secret.txt", "outside")
            .settings(&format!("[server]\nfallback = {page:?}"));
        symlink("../secret.txt", plan.dir().join("public/out.html")).expect("linked");
        let ended = plan.fail().await;
        assert!(matches!(ended.code, Some(1 | 2)), "{page}: {}", ended.log);
        for word in words {
            assert!(ended.log.contains(word), "{page}: {word}: {}", ended.log);
        }
    }
    let server = app().await;
    fs::remove_file(server.dir().join("public/index.html")).expect("removed");
    expect::failure(&ask(&server, "GET", "/about", BROWSER).await, 404);
}

#[tokio::test]
async fn i11_18_a_route_that_takes_every_path_hides_no_file() {
    for (route, path) in [("/{*rest}", "/other/path"), ("/{page}", "/other")] {
        let routes =
            format!("name all\nroute GET {route}\nroute GET /app.js\nroute GET /docs/{{*rest}}");
        let server = site()
            .handler("all.wasm", scripted(&routes))
            .settings(FALLBACK)
            .start()
            .await;
        for client in doors(&server).await {
            assert_eq!(client.get("/").await.body, json!(PAGE));
            assert_eq!(client.get("/style.css").await.body, "h1 { color: teal }");
            assert_eq!(
                client.get("/app.js").await.body["name"],
                "all",
                "it is named"
            );
            assert_eq!(client.get("/docs/a%20page.txt").await.body["name"], "all");
            assert_eq!(client.get(path).await.body["name"], "all", "{route}");
        }
        let page = ask(&server, "GET", path, BROWSER).await;
        assert_eq!(
            page.json()["name"],
            "all",
            "the route comes before the page"
        );
        expect::failure(&ask(&server, "POST", "/style.css", BROWSER).await, 405);
    }
}
