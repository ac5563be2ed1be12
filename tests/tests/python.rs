//! A handler in Python that uses all of the contract, in a real server.

use hitchy_tests::covered::{Part, covers};
use hitchy_tests::wait::{SOON, eventually};
use hitchy_tests::{Server, node, official_client, toolchains};
use serde_json::{Value, json};

/// Starts a server with the handler, whose instances are kept. `other` is a server that it may call.
async fn start(wasm: &[u8], other: &Server) -> Server {
    let settings = format!(
        "instances = \"shared\"\noutbound = [\"{}\"]\nconfig = {{ greeting = \"hi\" }}\n",
        other.url()
    );
    Server::prepare()
        .handler("everything.wasm", wasm)
        .file("handlers/everything.toml", settings)
        .start()
        .await
}

#[tokio::test]
async fn i14_8_a_handler_in_python_uses_all_of_the_contract() {
    let Some(wasm) = toolchains::python("everything") else {
        return;
    };
    let other = Server::prepare()
        .file("public/rates.json", r#"{"eur":1}"#)
        .start()
        .await;
    let server = start(&wasm, &other).await;
    requests(&server).await;
    capabilities(&server, &other).await;
    covers("python", &[Part::Policies, Part::KeyValue, Part::Outgoing]);
    if let Some(node) = official_client().await {
        events(&server, &node).await;
        covers("python", &[Part::Hooks, Part::Schedule]);
    }
}

/// Asks for routes, policies, conversions and errors.
async fn requests(server: &Server) {
    let answer = server.get("/guarded/me").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["data"], json!({ "header": "x-user" }));
    let ask = async |user: &str| {
        server
            .request("GET", "/guarded/me", &[("x-user", user)], b"")
            .await
    };
    let answer = ask("ada").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "name": "ada" }))
    );
    assert_eq!(answer.header("x-guarded"), Some("yes"));
    assert_eq!(ask("cached").await.json(), json!({ "answered": "early" }));

    let answer = server
        .post("/items/7/a/b%20c?limit=2", &json!({ "name": "tea" }))
        .await;
    assert_eq!((answer.status, answer.header("x-made")), (201, Some("yes")));
    let item = json!({ "name": "tea", "price": 1.0 });
    assert_eq!(
        answer.json(),
        json!({ "shop": 7, "rest": "a/b c", "item": item, "limit": 2 })
    );
    let answer = server.post("/items/7/a", &json!({ "name": 5 })).await;
    let said = "the body does not fit: `name`: expected a string, found the number 5";
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!(said))
    );

    let answer = server
        .request(
            "PUT",
            "/request/x?a=b",
            &[("content-type", "text/plain")],
            b"hi",
        )
        .await;
    let wanted = json!({
        "method": "PUT", "url": "/request/x?a=b", "name": "x", "query": { "a": "b" }, "type": "text/plain", "body": "hi",
        "door": "http", "socket": false, "time": true
    });
    assert_eq!(answer.json(), wanted);
    assert_eq!(server.get("/bytes").await.body, [0, 1, 2, 3]);
    assert_eq!(
        server.get("/broken").await.json()["error"],
        "internal server error"
    );
    server
        .wait_for_log(&["ZeroDivisionError", "at everything.py:", "in broken"])
        .await;
}

/// Asks for what handlers may import.
async fn capabilities(server: &Server, other: &Server) {
    let kept = server.get("/kv").await.json();
    let wanted =
        json!([{ "a": [1, null, "ä"] }, null, [null, 2], ["many:2"], 3, [0], true, kept[7]]);
    assert_eq!(kept, wanted);
    assert!(
        kept[7]
            .as_str()
            .is_some_and(|said| said.contains("`foreign`")),
        "{kept}"
    );
    assert_eq!(
        server.get("/config").await.json(),
        json!(["hi", "none", { "greeting": "hi" }])
    );
    let fetch = async |url: String| server.get(&format!("/fetch?url={url}")).await.json();
    let rates = fetch(format!("{}/rates.json", other.url())).await;
    assert_eq!(rates, json!({ "status": 200, "json": { "eur": 1 } }));
    assert_eq!(
        fetch("http://127.0.0.1:1/x".to_owned()).await,
        json!({ "kind": "refused" })
    );
    assert_eq!(
        server.get("/dispatch").await.json(),
        json!([200, "dispatch"])
    );
    let first = server.get("/life").await.json();
    let second = server.get("/life").await.json();
    assert_eq!(
        (&first[0], &first[2]),
        (&json!("shared"), &json!(1)),
        "{first}"
    );
    assert_eq!(
        second[2], 2,
        "the variables of a kept instance last: {second}"
    );
    // The policy that ran after the requests has counted them.
    let counted = async || (server.get("/status/401").await.json() == 1).then_some(());
    eventually("a refused request is counted", SOON, counted).await;

    assert_eq!(server.get("/full").await.status, 500);
    let third = server.get("/life").await.json();
    assert_eq!(third[2], 1, "an instance without memory ends: {third}");
}

/// Connects clients, and plays what they and the handler do.
async fn events(server: &Server, node: &node::Node) {
    let with = |name: &str| json!({ "auth": { "name": name } });
    let refused = node.connect_with(server, "/", with("eve")).await;
    assert_eq!(
        refused.err().map(|refused| refused.message),
        Some("not you".to_owned())
    );
    let ada = node
        .connect_with(server, "/", with("ada"))
        .await
        .expect("let in");
    let bob = node
        .connect_with(server, "/", with("bob"))
        .await
        .expect("let in");
    let welcome = ada.wait_event("welcome").await;
    assert_eq!(welcome, json!(["ada", node::binary(&[1, 2])]));

    assert_eq!(
        ada.ask("enter", json!(["tea"])).await,
        json!([["tea"], ["ada"]])
    );
    bob.ask("enter", json!(["tea"])).await;
    assert_eq!(ada.wait_event("entered").await, json!(["bob"]));
    ada.answer("name?", json!(["Ada"])).await;
    assert_eq!(
        ada.ask("ask", json!([])).await,
        json!([["Ada", ["Ada"], true]])
    );
    let deep = json!(["x", node::binary(&[0, 255]), { "deep": [node::binary(&[7])] }, null]);
    assert_eq!(ada.ask("echo", deep.clone()).await, deep);
    assert_eq!(ada.ask("other", json!([1, 2])).await, json!([["other", 2]]));
    let error = async |event: &str, args: Value| ada.ask(event, args).await[0]["error"].clone();
    assert_eq!(error("typed", json!(["x"])).await["code"], 400);
    assert_eq!(error("refuse", json!([])).await["data"], json!(["data"]));
    assert_eq!(error("reserved", json!([])).await["code"], 400);
    server.wait_for_log(&["echo of 4"]).await;
    server.wait_for_log(&["heard other"]).await;

    let (here, there) = (
        node.connect(server, "/chat").await,
        node.connect(server, "/chat").await,
    );
    assert_eq!(here.ask("where", json!([])).await, json!(["/chat"]));
    there.wait_event("there").await;
    let year = ada.wait_event("tick").await[0].as_i64();
    assert!(year >= Some(2024), "{year:?}");
    bob.disconnect().await;
    assert_eq!(
        ada.wait_event("left").await,
        json!(["bob", "client namespace disconnect"])
    );
}
