//! Requests from inside: a handler asks the routes of its own server.

use hitchy_tests::{Server, guest};
use serde_json::{Value, json};

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
