//! The commands `hitchy emit` and `hitchy listen` in a terminal: no event is lost, acks decide the exit code, and a
//! listener reconnects.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use hitchy_tests::terminal::{Listening, Said, hitchy};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

async fn probed() -> Server {
    Server::with("probe.wasm", guest("probe")).await
}

async fn emit(server: &Server, args: &[&str]) -> Said {
    hitchy(&server.url(), &[&["emit"], args].concat()).await
}

/// Lets the probe emit an event to all clients.
async fn tell(server: &Server, event: &str, args: Value) {
    let step = json!([{ "do": "emit", "event": event, "args": args }]);
    server.script(&step).await;
}

#[tokio::test]
async fn arguments_are_json_or_strings_or_files() {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .file("bytes", [0_u8, 159, 255])
        .start()
        .await;
    let file = format!("@{}", server.dir().join("bytes").display());
    let args = [
        "echo",
        "1",
        "\"1\"",
        "one",
        "{\"a\": [1]}",
        "-1",
        "@@x",
        &file,
        "--ack",
    ];
    let said = emit(&server, &args).await;
    let lines: Vec<&str> = said.text().lines().collect();
    assert_eq!(
        lines,
        [
            "1",
            "\"1\"",
            "\"one\"",
            "{\"a\":[1]}",
            "-1",
            "\"@x\"",
            "<3 bytes>"
        ]
    );
    assert_eq!(said.code, Some(0));
    let said = emit(
        &server,
        &["echo", &file, "null", "--ack", "--output", "json"],
    )
    .await;
    assert_eq!(said.json(), json!([{ "base64": "AJ//" }, null]));
}

#[tokio::test]
async fn an_empty_ack_is_an_ack() {
    let server = probed().await;
    let said = emit(&server, &["none", "--ack"]).await;
    assert_eq!((said.code, said.text()), (Some(0), ""), "{said:?}");
    let said = emit(&server, &["none", "--ack", "--output", "json"]).await;
    assert_eq!(said.json(), json!([]));
}

#[tokio::test]
async fn an_ack_that_says_error_is_an_exit_code() {
    let server = probed().await;
    let cases: [(&[&str], i32, &str); 4] = [
        (&["fail", r#"{"code":409,"message":"taken"}"#], 4, "taken"),
        (&["fail", r#"{"code":503,"message":"later"}"#], 5, "later"),
        (&["panic"], 5, "\"code\":500"),
        (&["nobody"], 4, "\"code\":404"),
    ];
    for (args, code, word) in cases {
        let args = [args, &["--ack"]].concat();
        let said = emit(&server, &args).await;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.text().contains(word), "{said:?}");
    }
}

#[tokio::test]
async fn a_namespace_is_named_with_or_without_its_slash() {
    let server = probed().await;
    for namespace in ["/star", "star"] {
        let said = emit(&server, &["x", "1", "--ack", "--namespace", namespace]).await;
        assert_eq!(said.text(), "\"star\"\n\"x\"\n[1]\n");
    }
}

#[tokio::test]
async fn what_cannot_be_emitted_is_refused() {
    let cases: [(&[&str], &str); 5] = [
        (&["disconnect"], "disconnect"),
        (&["say \"hi\""], "quote"),
        (&["a", "@no/such/file"], "no/such/file"),
        (&["a", "--namespace", "a b"], "namespace"),
        (&["a", "-H", "x"], "header"),
    ];
    for (args, word) in cases {
        let args = [&["emit"], args].concat();
        let said = hitchy("http://127.0.0.1:1", &args).await;
        said.assert_refused(2, &[word]);
    }
}

#[tokio::test]
async fn an_event_without_an_ack_arrives_before_the_command_has_ended() {
    let server = probed().await;
    let listening = Listening::to(&server.url(), &["told"]).await;
    for number in 0..10 {
        let said = emit(&server, &["tell", &number.to_string()]).await;
        assert_eq!((said.code, said.out.len()), (Some(0), 0), "{said:?}");
        let line = listening.line(number).await;
        assert!(line.ends_with(&format!(" {number}")), "{line}");
    }
}

#[tokio::test]
async fn events_are_lines_and_ends_come_with_the_last_that_is_wanted() {
    let server = probed().await;
    let mut listening = Listening::to(&server.url(), &["a", "b", "--count", "3"]).await;
    tell(&server, "a", json!([1, "x y", { "k": [true] }])).await;
    tell(&server, "unwanted", json!([])).await;
    tell(&server, "b", json!([])).await;
    tell(&server, "a", json!(["\u{1b}[31m\u{9b}"])).await;
    assert!(listening.wait_for_end().await.success());
    assert_eq!(listening.line(2).await, r#"a "\u001b[31m\u009b""#);
    assert_eq!(listening.out.all()[..2], [r#"a 1 "x y" {"k":[true]}"#, "b"]);
}

#[tokio::test]
async fn all_events_are_listened_to_when_none_is_named() {
    let server = probed().await;
    let listening = Listening::to(&server.url(), &["--output", "json"]).await;
    tell(&server, "grüße 🎉", json!([{ "b": 1, "a": 2 }])).await;
    tell(&server, "say \"hi\"\n\u{1b}", json!([])).await;
    let step = json!([{
        "do": "emit", "event": "bin", "attachments": ["abc"],
        "json": r#"[{"in":{"_placeholder":true,"num":0}}]"#,
    }]);
    server.script(&step).await;
    assert_eq!(
        listening.line(0).await,
        r#"{"event":"grüße 🎉","args":[{"a":2,"b":1}]}"#
    );
    let event: Value = serde_json::from_str(&listening.line(1).await).expect("JSON");
    assert_eq!(event["event"], "say \"hi\"\n\u{1b}");
    let event: Value = serde_json::from_str(&listening.line(2).await).expect("JSON");
    assert_eq!(
        event,
        json!({ "event": "bin", "args": [{ "in": { "base64": "YWJj" } }] })
    );
}

#[tokio::test]
async fn a_namespace_of_its_own_is_listened_to() {
    let server = probed().await;
    let args = ["--namespace", "/chat", "--time-stamps"];
    let listening = Listening::to(&server.url(), &args).await;
    tell(&server, "elsewhere", json!([])).await;
    let said = emit(&server, &["say", "hi", "--namespace", "/chat", "--ack"]).await;
    assert_eq!(said.text(), "\"sent\"\n");
    let line = listening.line(0).await;
    assert!(line.contains("Z said \"hi\""), "{line}");
}

#[tokio::test]
async fn who_listens_holds_up_nobody_who_waits_for_an_ack() {
    let server = probed().await;
    let _listening = Listening::to(&server.url(), &["something-else"]).await;
    let ask = json!([{ "do": "emit-to-with-ack", "event": "ask", "args": [1], "timeout": 60_000 }]);
    let acks = server.script(&ask).await;
    assert_eq!(
        acks[0]["ok"][0][1],
        json!({ "ok": { "args": [], "attachments": [] } }),
        "{acks}"
    );
}

#[tokio::test]
async fn the_time_is_over_with_or_without_the_events() {
    let server = probed().await;
    let said = hitchy(&server.url(), &["listen", "--for", "100ms"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = hitchy(&server.url(), &["listen", "--for", "100ms", "--count", "1"]).await;
    said.assert_refused(1, &["--for"]);
}

#[tokio::test]
async fn ctrl_c_ends_listening_well() {
    let server = probed().await;
    let mut listening = Listening::to(&server.url(), &[]).await;
    listening.interrupt();
    assert_eq!(listening.wait_for_end().await.code(), Some(0));
}

#[tokio::test]
async fn a_closed_output_ends_listening_quietly() {
    let server = probed().await;
    let (mut listening, out) = Listening::unread(&server.url(), &[]).await;
    let mut out = BufReader::new(out);
    tell(&server, "first", json!([])).await;
    let mut line = String::new();
    out.read_line(&mut line).expect("a line comes");
    assert_eq!(line, "first\n");
    drop(out);
    tell(&server, "second", json!([])).await;
    assert_eq!(listening.wait_for_end().await.code(), Some(0));
    let err = listening.err.all();
    assert_eq!(err.len(), 1, "{err:?}");
}

#[tokio::test]
async fn who_is_sent_away_goes() {
    let server = probed().await;
    let mut listening = Listening::to(&server.url(), &[]).await;
    let step = json!([{ "do": "disconnect", "rooms": [], "close": false }]);
    server.script(&step).await;
    assert_eq!(listening.wait_for_end().await.code(), Some(1));
    let told = |_: usize, line: &str| line.contains("has disconnected this client").then_some(());
    let soon = Duration::from_secs(10);
    listening.err.wait("why it ended", 0, soon, told).await;
}

#[tokio::test]
async fn who_listens_comes_back_with_the_server() {
    // Reserves the port while no server uses it: the socket is bound but does not listen.
    let port = TcpSocket::new_v4().expect("a socket");
    port.set_reuseaddr(true).expect("it can be shared");
    port.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let addr = port.local_addr().expect("an address").to_string();
    let server = async || {
        let plan = Server::prepare().handler("probe.wasm", guest("probe"));
        plan.flag("--listen").flag(&addr).start().await
    };
    let first = server().await;
    let listening = Listening::to(&first.url(), &[]).await;
    tell(&first, "before", json!([1])).await;
    assert_eq!(listening.line(0).await, "before 1");
    drop(first);
    let ended = |_: usize, line: &str| line.contains("connecting again").then_some(());
    let soon = Duration::from_secs(30);
    listening.err.wait("it sees the end", 0, soon, ended).await;
    let second = server().await;
    listening.wait_until_listening(2).await;
    tell(&second, "after", json!([2])).await;
    assert_eq!(listening.line(1).await, "after 2");
}
