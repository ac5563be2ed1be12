//! What belongs to a call and ends with it, D4: handles, limits and output, under every life of instances.

use hitchy_tests::clauses::Way;
use hitchy_tests::living::{LivingClient, ended, plan, post};
use hitchy_tests::raw::RawSocket;
use hitchy_tests::{Server, clauses, guest};
use serde_json::json;

clauses! {
    event_websocket event_polling:
        d04_a_handle_of_an_earlier_call_gives_an_error_and_reaches_nobody;
    http:
        d04_what_belongs_to_a_call_begins_anew_with_each;
}

#[tokio::test]
async fn d04_a_request_of_wasi_http_that_a_guest_keeps_is_not_there_in_a_later_call() {
    let mut server = Server::prepare()
        .handler("shop.wasm", guest("proxy"))
        .handler("shop.toml", "instances = \"shared\"\nmax-instances = 1")
        .console()
        .start()
        .await;
    for _ in 0..3 {
        let kept = server.request("POST", "/shop/keep", &[], b"secret").await;
        assert_eq!(kept.text(), "kept");
        let later = server.get("/shop/kept").await;
        assert_eq!(later.text(), "nothing is kept");
    }
    let metrics = server.metrics().await;
    let ended = r#"hitchy_instances_ended_total{handler="shop.wasm",reason="handles"}"#;
    assert_eq!(metrics.value(ended), 3.0);
    server.assert_unharmed();
}

async fn d04_what_belongs_to_a_call_begins_anew_with_each(_: Way) {
    let server = plan("instances = \"shared\"\nmax-instances = 1\ndeadline = \"700ms\"\ncpu = \"300ms\"\nemits-per-call = 3")
        .start()
        .await;
    for _ in 0..4 {
        // Each call has all of its emits, and most of its deadline.
        assert_eq!(
            post(&server, json!({ "do": "emit", "times": 5 })).await["result"],
            3
        );
        let slept = post(&server, json!({ "do": "sleep", "millis": 400 })).await;
        assert!(slept["count"].is_u64(), "{slept}");
    }
    let from = server.log().len();
    for text in ["first", "second"] {
        let answer = server
            .post("/do", &json!({ "do": "print", "text": text }))
            .await;
        let id = answer.header("x-request-id").expect("an id").to_owned();
        for line in [text.to_owned(), format!("unfinished {text}")] {
            server
                .wait_for_log_from(from, &["living.wasm", &id, &line])
                .await;
        }
    }
}

async fn d04_a_handle_of_an_earlier_call_gives_an_error_and_reaches_nobody(way: Way) {
    let mut server = plan("instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    let mut victim = LivingClient::connect(way, server.addr()).await;
    victim.ask(json!({ "do": "keep" })).await;
    let mut other = LivingClient::connect(way, server.addr()).await;
    let told = other.ask(json!({ "do": "use-kept" })).await;
    for function in ["emit", "set", "join"] {
        let error = &told["result"][function];
        assert_eq!(error["code"], 410, "{function}: {told}");
        let message = error["message"].as_str().expect("a sentence");
        assert!(message.contains("a handle lasts for one call"), "{message}");
    }
    let bucket = told["result"]["bucket"].to_string();
    assert!(bucket.contains("a bucket of an earlier call"), "{bucket}");

    post(&server, json!({ "do": "keep" })).await;
    let told = post(&server, json!({ "do": "use-kept" })).await;
    assert_eq!(told["result"]["header"]["code"], 410, "{told}");

    // A function without an error ends the call, and with it the instance.
    let answer = server.post("/do", &json!({ "do": "read-kept" })).await;
    assert_eq!(answer.status, 500);
    server
        .wait_for_log(&[
            "living.wasm",
            "a socket of an earlier call",
            "find it by its id",
        ])
        .await;

    // To drop such a handle is no error.
    let before = post(&server, json!({ "do": "keep" })).await["count"].as_u64();
    victim.ask(json!({ "do": "keep" })).await;
    let told = other.ask(json!({ "do": "drop-kept" })).await;
    assert_eq!(
        told["count"].as_u64(),
        before.map(|count| count + 2),
        "{told}"
    );
    server.assert_unharmed();
}

#[tokio::test]
async fn d04_a_guest_that_leaks_handles_fails_no_call() {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut client = LivingClient::connect(Way::EventWebsocket, server.addr()).await;
    for _ in 0..60 {
        let told = client.ask(json!({ "do": "hoard", "times": 100 })).await;
        assert!(told["count"].is_u64(), "{told}");
    }
    assert!(ended(&server.metrics().await, "handles") >= 4.0);
    server.assert_unharmed();
}

#[tokio::test]
async fn g14_a_guest_that_takes_too_many_handles_is_told_so() {
    for life in ["call", "socket"] {
        let mut server = plan(&format!("instances = \"{life}\"")).start().await;
        let mut client = LivingClient::connect(Way::EventWebsocket, server.addr()).await;
        let ack = client.ask(json!({ "do": "hoard", "times": 5000 })).await;
        assert_eq!(ack["error"]["code"], 500, "{ack}");
        let words = ["living.wasm", "more than 2000 handles", "drop"];
        let line = server.wait_for_log(&words).await;
        assert!(!line.contains("unusable answer"), "{line}");
        assert_eq!(client.nothing().await["count"], 1);
        server.assert_unharmed();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d04_ten_thousand_calls_wear_no_instance_out() {
    let mut server = plan("instances = \"socket\"").start().await;
    let mut socket = RawSocket::connect(server.addr(), "/")
        .await
        .expect("let in");
    let deed = [json!({ "do": "nothing" })];
    for _ in 0..100 {
        socket
            .ask_many(100, "do", &deed, |ack| ack.contains("\"life\":\"socket\""))
            .await
            .expect("all are answered");
    }
    let last = socket.ask("do", &deed).await.expect("an ack");
    assert!(last.contains("\"count\":10003"), "{last}");
    server.assert_unharmed();
}
