//! The callback of a request: the time at which it is called, its argument, and the number of calls.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hitchy_tests::clauses::Way;
use hitchy_tests::door::{Answer, probed};
use hitchy_tests::node::{binary, undefined};
use hitchy_tests::refusing::Refusing;
use hitchy_tests::{clauses, expect};
use serde_json::{Value, json};

clauses! {
    request_websocket request_polling:
        b24_without_a_callback_the_request_runs_and_its_response_is_dropped
        b25_first_argument_that_is_no_object_is_400
        b25_extra_arguments_are_ignored
        b26_every_request_is_acked_exactly_once
        b27_requests_are_answered_in_completion_order
        b27_32_run_at_the_same_time
        b27_more_than_may_wait_are_429
        b28_another_event_is_ignored_and_its_ack_is_404;
}

async fn b24_without_a_callback_the_request_runs_and_its_response_is_dropped(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let socket = refusing.client.socket();
    for request in [
        json!({ "url": "/hello/unheard" }),
        json!({ "url": "/nobody" }),
        json!({ "url": 7 }),
    ] {
        socket.emit("request", json!([request])).await;
    }
    // All requests except the last arrive, because the last is refused earlier.
    let mut asked = refusing.asked().await;
    while asked.len() < 2 {
        asked.extend(refusing.asked().await);
    }
    asked.sort_unstable();
    assert_eq!(asked, ["GET /hello/unheard", "GET /nobody"]);
    let socket = refusing.client.socket();
    assert_eq!(socket.events("request"), Vec::<Value>::new());
    let fences = socket.acks().await;
    let distinct: HashSet<_> = fences.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), fences.len(), "one ack a fence");
    assert!(!distinct.contains("null"), "an ack of nothing");
}

async fn b25_first_argument_that_is_no_object_is_400(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    for args in [
        json!([]),
        json!([null]),
        json!([undefined()]),
        json!(["GET /echo"]),
        json!([7]),
        json!([true]),
        json!([[]]),
        json!([["GET", "/echo"]]),
        json!([[null, "/echo", null, null]]),
    ] {
        let ack = refusing.client.socket().ask("request", args.clone()).await;
        refusing
            .refused(400, "first argument", &Answer::of_ack(&ack), &args)
            .await;
    }
    // Bytes look like an object in the packet.
    let args = json!([binary(b"GET /echo")]);
    let ack = refusing.client.socket().ask("request", args.clone()).await;
    refusing
        .refused(400, "", &Answer::of_ack(&ack), &args)
        .await;
}

async fn b25_extra_arguments_are_ignored(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for extra in [
        json!(1),
        json!({ "url": "/nobody" }),
        binary(b"bytes"),
        json!(null),
    ] {
        let args = json!([{ "url": "/hello/you", "more": extra }, extra, extra]);
        let ack = client.socket().ask("request", args).await;
        assert_eq!(Answer::of_ack(&ack).body, json!({ "hello": "you" }));
    }
}

async fn b26_every_request_is_acked_exactly_once(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let requests = [
        json!({ "url": "/hello/you" }),
        json!({ "url": "/slow/100" }),
        json!({ "url": "/nobody" }),
        json!({ "method": "DELETE", "url": "/hello/you" }),
        json!({ "url": "/traps/x" }),
        json!({ "url": 7 }),
        json!({ "url": "/echo", "body": { "bytes": binary(b"x") } }),
        json!({ "method": "POST", "url": "/answer", "body": { "hex": "ff" } }),
        json!({ "method": "POST", "url": "/answer", "body": { "headers": [["x-large", "v".repeat(40 << 10)]] } }),
    ];
    // `Answer::of_ack` also asserts that each ack is one argument with three fields.
    let came = client.ask_all(&requests).await;
    let statuses: HashSet<_> = came.iter().map(|(_, answer)| answer.status).collect();
    assert_eq!(statuses, HashSet::from([200, 404, 405, 500, 400, 502]));
    client.get("/slow/200").await;
    let acks = client.socket().acks().await;
    let distinct: HashSet<_> = acks.iter().map(Value::to_string).collect();
    assert_eq!((acks.len(), distinct.len()), (10, 10), "{acks:?}");
}

async fn b27_requests_are_answered_in_completion_order(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let sent = ["/slow/900", "/slow/500", "/hello/quick", "/slow/100"];
    let came = client.ask_all(&sent.map(|url| json!({ "url": url }))).await;
    let places: Vec<_> = came.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [2, 3, 1, 0]);
    assert_eq!(came[3].1.body, json!({ "slept": 900 }));
}

async fn b27_32_run_at_the_same_time(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    for (count, one_after_the_other) in [(32, false), (33, true)] {
        let requests = vec![json!({ "url": "/slow/1000" }); count];
        let start = Instant::now();
        let came = client.ask_all(&requests).await;
        assert!(came.iter().all(|(_, answer)| answer.status == 200));
        let took = start.elapsed();
        let waited = took >= Duration::from_secs(2);
        assert_eq!(waited, one_after_the_other, "{count} took {took:?}");
    }
}

async fn b27_more_than_may_wait_are_429(way: Way) {
    let Some((_server, client)) = probed(way).await else {
        return;
    };
    let (run, wait, more) = (32, 256, 10);
    let requests = vec![json!({ "url": "/slow/600" }); run + wait + more];
    let came = client.ask_all(&requests).await;
    for (place, answer) in &came {
        if *place < run + wait {
            assert_eq!(answer.status, 200, "{place}: {answer:?}");
            continue;
        }
        expect::refusal(answer, 429);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // The refused calls get their answers at once.
    let mut told: Vec<_> = came[..more].iter().map(|(place, _)| *place).collect();
    told.sort_unstable();
    assert_eq!(told, Vec::from_iter(run + wait..run + wait + more));
    assert_eq!(client.get("/hello/again").await.status, 200);
}

async fn b28_another_event_is_ignored_and_its_ack_is_404(way: Way) {
    let Some(mut refusing) = Refusing::open(way, "").await else {
        return;
    };
    let socket = refusing.client.socket();
    for event in ["other", "requests", "Request", "echo", "grüße"] {
        socket.emit(event, json!([{ "url": "/echo" }])).await;
        let ack = socket.ask(event, json!([{ "url": "/echo" }])).await;
        expect::failed_ack(&ack, 404);
    }
    assert_eq!(refusing.asked().await, Vec::<String>::new());
}
