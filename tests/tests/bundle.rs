//! The official client for browsers, which the server offers beside the socket.io endpoint.

use hitchy_tests::server::Plan;
use hitchy_tests::{Server, expect, official_client, sources};

const NAMES: [&str; 6] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
];

/// Returns the plan of a server with the client of the tests' npm package, or `None` if that package is not installed.
async fn with_client(settings: &str) -> Option<Plan> {
    drop(official_client().await?);
    let dist = sources().join("client/node_modules/socket.io-client/dist");
    let settings = format!("[socket]\nclient = {dist:?}\n{settings}");
    Some(Server::prepare().settings(&settings))
}

#[tokio::test]
async fn the_client_of_the_npm_package_is_served() {
    let Some(plan) = with_client("").await else {
        return;
    };
    let server = plan.start().await;
    for name in NAMES {
        let path = format!("/socket.io/{name}");
        let answer = server.get(&path).await;
        let dist = sources().join("client/node_modules/socket.io-client/dist");
        let file = std::fs::read(dist.join(name)).expect("the package has it");
        assert_eq!((answer.status, &answer.body), (200, &file), "{name}");
        assert!(answer.header("x-request-id").is_some(), "{name}");
        let etag = answer.header("etag").expect("a file has an etag");
        let headers = [("if-none-match", etag)];
        assert_eq!(
            server.request("GET", &path, &headers, b"").await.status,
            304
        );
        let head = server.request("HEAD", &path, &[], b"").await;
        let length = file.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
    }
    let script = server.get("/socket.io/socket.io.js?v=4").await;
    let kind = script.header("content-type");
    assert_eq!(kind, Some("text/javascript; charset=utf-8"));
}

#[tokio::test]
async fn it_moves_with_the_endpoint_and_leaves_the_rest_to_it() {
    let Some(plan) = with_client("path = \"/live/io\"").await else {
        return;
    };
    let server = plan.start().await;
    assert_eq!(server.get("/live/io/socket.io.min.js").await.status, 200);
    expect::failure(&server.get("/socket.io/socket.io.min.js").await, 404);
    let open = server.get("/live/io/?EIO=4&transport=polling").await;
    assert!(open.text().contains("\"sid\""), "{open:?}");
    for path in ["/live/io/package.json", "/live/io/socket.io.msgpack.min.js"] {
        assert_eq!(
            server.get(path).await.status,
            400,
            "{path} is the library's"
        );
    }
    let posted = server
        .request("POST", "/live/io/socket.io.js", &[], b"x")
        .await;
    assert_eq!(posted.status, 400, "{posted:?}");
}

#[tokio::test]
async fn without_the_package_it_says_how_to_get_it() {
    let server = Server::prepare().start().await;
    for name in NAMES {
        let answer = server.get(&format!("/socket.io/{name}")).await;
        let error = expect::error(&answer, 404);
        let sentence = error["error"].as_str().unwrap_or_default();
        for word in [name, "npm install socket.io-client", "[socket] client"] {
            assert!(sentence.contains(word), "{word}: {sentence}");
        }
        expect::failure(&answer, 404);
    }
    // The client is served as soon as it is installed.
    let dist = server.dir().join("node_modules/socket.io-client/dist");
    std::fs::create_dir_all(&dist).expect("a folder");
    std::fs::write(dist.join("socket.io.js"), "io").expect("written");
    assert_eq!(server.get("/socket.io/socket.io.js").await.text(), "io");
}
