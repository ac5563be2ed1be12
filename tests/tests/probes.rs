//! The console's probes: readiness and health of the server, with the reasons.

use hitchy_tests::console::{page, probe};
use hitchy_tests::http::{Connection, request};
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest, scripted};
use serde_json::{Value, json};

#[tokio::test]
async fn a_server_is_ready_when_it_has_read_its_folder_and_healthy_before() {
    let mut plan = Server::prepare().console();
    for number in 0..4 {
        let script = format!("name slow{number}\nsleep 700\nroute GET /{number}");
        plan = plan.handler(&format!("slow{number}.wasm"), scripted(&script));
    }
    let server = plan.start_at_once().await;
    let answer = server.ask_console("/readyz").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["status"], "starting");
    assert!(answer.json()["reason"].is_string(), "{answer:?}");
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
    wait_for_readiness(&server, 200, "ready").await;
    assert_eq!(server.get("/0").await.status, 200);
}

#[tokio::test]
async fn a_server_without_a_required_handler_is_not_ready_and_says_which() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .console()
        .start()
        .await;
    let unready = wait_for_readiness(&server, 503, "unguarded").await;
    assert_eq!(unready["missing"], json!(["guard"]));
    let health = page(&server, "/healthz").await;
    assert_eq!(health["status"], "degraded", "a restart would not mend it");
    assert!(
        health["problems"][0]
            .as_str()
            .is_some_and(|it| it.contains("the handler guard is required"))
    );
    assert_eq!(
        page(&server, "/api/handlers").await["missing"],
        json!(["guard"])
    );
    server.drop_in("guard.wasm", scripted("name guard\nroute GET /guard"));
    wait_for_readiness(&server, 200, "ready").await;
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
}

#[tokio::test]
async fn r16_a_server_that_drains_says_so_and_answers_to_the_end() {
    let mut server = probe().start().await;
    let mut busy = Connection::open(server.addr()).await;
    let slow = request("GET", "/slow/5000", &[], b"");
    busy.send(slow).await.expect("sent");
    let running = "hitchy_calls_running{handler=\"probe.wasm\"}";
    let runs = async || server.metrics().await.value(running) == 1.0;
    until("the slow call runs", SOON, runs).await;
    server.terminate();
    wait_for_readiness(&server, 503, "draining").await;
    assert_eq!(page(&server, "/healthz").await, json!({ "status": "ok" }));
    let answer = busy.read("GET").await.expect("it is answered");
    assert_eq!(answer.json(), json!({ "slept": 5000 }));
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_told_and_do_not_fail_the_probe() {
    let server = probe()
        .settings("[limits]\ndeadline = \"5s\"")
        .start()
        .await;
    let settings = server.dir().join("hitchy.toml");
    std::fs::write(&settings, "[limits]\ndedline = \"5s\"").expect("written");
    let told = async || {
        let health = page(&server, "/healthz").await;
        health["problems"].to_string().contains("dedline")
    };
    until("the settings are told to be wrong", SOON, told).await;
    assert_eq!(page(&server, "/readyz").await["status"], "ready");
}

/// Waits until `/readyz` gives this status code and this word.
async fn wait_for_readiness(server: &Server, code: u16, status: &str) -> Value {
    let look = async || {
        let answer = server.ask_console("/readyz").await;
        let is_it = answer.status == code && answer.json()["status"] == status;
        is_it.then(|| answer.json())
    };
    eventually(&format!("/readyz says {status}"), SOON * 3, look).await
}
