//! Under `hitchy dev`: a folder in which nothing is to build is served, and answers of failing handlers say why.

use hitchy_tests::project::project;
use hitchy_tests::raw::RawClient;
use hitchy_tests::server::Plan;
use hitchy_tests::{Server, guest};
use serde_json::Value;

const FAILING: &str = r#"
app.get("/throws", () => nothing());
app.get("/refuses", () => { throw new Failure(409, "taken") });
app.get("/fails", () => { throw new Failure(503, "closed") });
io.on("connection", socket => { socket.on("throws", () => missing()) });
"#;

fn with_failing(plan: Plan) -> Plan {
    plan.handler("f.js", FAILING)
        .handler("faults.wasm", guest("faults"))
}

async fn detail_of(server: &Server, path: &str, status: u16) -> Value {
    let answer = server.get(path).await;
    assert_eq!(answer.status, status, "{answer:?}");
    answer.json()["detail"].take()
}

#[tokio::test]
async fn i14_6_under_dev_an_answer_of_a_failing_handler_says_where_and_why() {
    let server = with_failing(project()).start().await;
    let thrown = detail_of(&server, "/throws", 500).await;
    let thrown = thrown.as_str().expect("a text");
    assert!(thrown.starts_with("f.js:2:"), "{thrown}");
    assert!(thrown.contains("ReferenceError: nothing"), "{thrown}");
    let trapped = detail_of(&server, "/fault/trap", 500).await;
    assert!(
        trapped.as_str().expect("a text").contains("trap"),
        "{trapped}"
    );
    for (path, status) in [("/refuses", 409), ("/fails", 503), ("/nobody", 404)] {
        assert_eq!(
            detail_of(&server, path, status).await,
            Value::Null,
            "{path}"
        );
    }
    let mut client = RawClient::connect("websocket", server.addr(), "/").await;
    let ack = client.ask("1", r#"["throws"]"#).await.expect("an ack");
    let ack: Value = serde_json::from_str(&ack).expect("JSON");
    let detail = ack[0]["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("f.js:5:"), "{ack}");
}

#[tokio::test]
async fn i14_6_a_server_says_nothing_of_the_inside() {
    let server = with_failing(Server::prepare()).start().await;
    for (path, status) in [("/throws", 500), ("/fault/trap", 500), ("/fails", 503)] {
        assert_eq!(
            detail_of(&server, path, status).await,
            Value::Null,
            "{path}"
        );
    }
    let mut client = RawClient::connect("websocket", server.addr(), "/").await;
    let ack = client.ask("1", r#"["throws"]"#).await.expect("an ack");
    assert!(ack.contains("error") && !ack.contains("detail"), "{ack}");
}

#[tokio::test]
async fn i14_6_under_dev_a_change_of_outbound_is_applied() {
    let settings = |origin: &str| format!("[handler.calls]\noutbound = [\"{origin}\"]\n");
    for before in ["", &settings("https://one.example")] {
        let server = project()
            .file("hitchy.toml", before)
            .handler("calls.js", "app.get('/calls', () => 1);")
            .console()
            .start()
            .await;
        let after = settings("https://two.example");
        std::fs::write(server.dir().join("hitchy.toml"), after).expect("saved");
        server
            .wait_for_log(&["settings changed: handler.calls.outbound"])
            .await;
        server
            .wait_for_log(&["calls.js: reloaded (its settings changed)", "generation 2"])
            .await;
        let handlers = server.ask_console("/api/handlers").await.json();
        let limits = &handlers["handlers"][0]["limits"];
        assert_eq!(limits["outbound"][0], "https://two.example", "{handlers:#}");
    }
}
