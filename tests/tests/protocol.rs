//! Well-formed packets at the wrong time: acks, CONNECT and DISCONNECT. The clients are not official ones.

use std::time::Duration;

use hitchy_tests::raw::{Packet, RawClient, RawSocket, Witness, wait_for_end_in_log};
use hitchy_tests::wait::{SOON, within};
use serde_json::{Value, json};

const TRANSPORTS: [&str; 2] = ["websocket", "polling"];

#[tokio::test]
async fn s10_every_ack_is_answered_also_when_their_ids_are_the_same() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for number in 0..5 {
            let event = format!("423[\"echo\",{number}]");
            client.send(event).await.expect("sent");
        }
        for number in 0..5 {
            let ack = client.ack("3").await.expect("an ack");
            assert_eq!(ack, format!("[{number}]"));
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s10_an_ack_has_the_id_that_was_sent_however_long() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for id in ["0", "999999999999999999", "9223372036854775807"] {
            let ack = client.ask(id, "[\"echo\",1]").await.expect("an ack");
            assert_eq!(ack, "[1]", "{id}");
        }
        witness.assert_unharmed().await;
    }
}

/// Uses ack ids that no real client reaches. The library would treat such a number as a missing id, so that the ack
/// would never come.
#[tokio::test]
async fn i11_29_an_ack_id_of_more_than_64_bits_ends_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        for id in ["9223372036854775808", "99999999999999999999999"] {
            let mut client = witness.other(transport).await;
            let ack = client.ask("9223372036854775807", "[\"echo\",1]").await;
            assert_eq!(ack.expect("an ack"), "[1]");
            let from = witness.server.log().len();
            let event = format!("42{id}[\"ack-wanted\"]");
            let _ = client.send(event).await;
            client.ended(SOON).await;
            let line = wait_for_end_in_log(&witness.server, from, &client.names()).await;
            assert!(line.contains("64 bits"), "{line}");
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s10_acks_that_nobody_asked_for_are_ignored() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for ack in ["430[]", "43999[1]", "43999{}", "439223372036854775807[1]"] {
            client.send(ack).await.expect("sent");
        }
        let ack = "461-999[{\"_placeholder\":true,\"num\":0}]";
        client.send(ack).await.expect("sent");
        client.send_binary(b"bytes").await.expect("sent");
        assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

/// Asks the client through the probe. The client answers with this packet after the id of the ack. Returns the guest's
/// result.
async fn asked(witness: &Witness, client: &mut RawClient, answer: &str) -> Value {
    let of = json!({ "namespace": "/", "id": client.sid() });
    let ask = json!([{ "do": "socket.emit-with-ack", "of": of, "event": "question", "args": [], "timeout": 8000 }]);
    let reply = async {
        let Ok(Packet::Text(question)) = client.next().await else {
            panic!("no question")
        };
        let id = question
            .strip_prefix("42")
            .and_then(|rest| rest.split('[').next());
        let id = id.expect("an event with an id").to_owned();
        // The first of several acks with the same id counts.
        let _ = client.send(format!("43{id}{answer}")).await;
        let _ = client.send(format!("43{id}[\"again\"]")).await;
    };
    let (results, ()) = tokio::join!(witness.server.script(&ask), reply);
    results[0].clone()
}

#[tokio::test]
async fn c13_a_malformed_ack_of_a_client_is_a_failure_for_the_guest_that_asked() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        let got = asked(&witness, &mut client, "[1,2]").await;
        assert_eq!(got["ok"]["args"], json!([1, 2]), "{got}");
        let deep = format!("[{}{}]", "[".repeat(1000), "]".repeat(1000));
        for answer in ["{\"a\":1}", "[1", "[nonsense]", &deep] {
            let got = asked(&witness, &mut client, answer).await;
            assert_eq!(got["failed"]["code"], 400, "{answer}: {got}");
        }
        assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s10_events_before_connect_end_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        for packet in ["421[\"echo\"]", "421[\"echo\",1]", "42[\"echo\"]", "41"] {
            let addr = witness.server.addr();
            let mut client = RawClient::open(transport, addr).await.expect("opened");
            let _ = client.send(packet).await;
            client.ended(SOON).await;
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s10_events_in_namespaces_that_were_not_entered_end_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        for namespace in ["/chat", "/hitchy"] {
            let mut client = witness.other(transport).await;
            let event = format!("42{namespace},1[\"say\"]");
            let _ = client.send(event).await;
            let end = client.ended(SOON);
            within(&format!("{namespace} over {transport}"), SOON / 2, end).await;
            witness.assert_unharmed().await;
        }
    }
}

/// Sends events that the standard client never sends, because it only sends to namespaces that it has entered.
#[tokio::test]
async fn s10_events_in_namespaces_that_do_not_exist_are_ignored() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        client.send("42/nobody,1[\"say\"]").await.expect("sent");
        assert_eq!(client.ask("2", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s10_events_after_disconnect_end_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        client.send("41").await.expect("sent");
        let _ = client.send("421[\"echo\"]").await;
        client.ended(SOON).await;
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s10_a_second_connect_is_ignored() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let addr = witness.server.addr();
        let mut watcher = RawSocket::connect(addr, "/").await.expect("let in");
        let auth = "{\"announce\":true,\"user\":\"ann\"}";
        let mut client = RawClient::connect_with(transport, addr, "/", auth).await;
        for _ in 0..3 {
            client.send(format!("40{auth}")).await.expect("sent");
        }
        assert_eq!(
            client.ask("1", "[\"note\",1]").await.expect("an ack"),
            "[\"1\"]"
        );
        // The hooks ran once, for one join and one leave. The library takes up each CONNECT in a task of its own: on a
        // busy machine a task that begins after the DISCONNECT would be another connection.
        let mut told = Vec::new();
        let watch = async |watcher: &mut RawSocket, told: &mut Vec<&str>| {
            let Packet::Text(text) = watcher.next().await.expect("told") else {
                panic!("binary")
            };
            let events = ["joined", "left"];
            told.extend(events.into_iter().filter(|event| text.contains(event)));
        };
        let none_more = async {
            loop {
                watch(&mut watcher, &mut told).await;
            }
        };
        let quiet = tokio::time::timeout(Duration::from_millis(500), none_more).await;
        assert!(quiet.is_err() && told == ["joined"], "{told:?}");
        client.send("41").await.expect("sent");
        while told.last() != Some(&"left") {
            watch(&mut watcher, &mut told).await;
        }
        assert_eq!(told, ["joined", "left"]);
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn a05_unknown_namespaces_are_invalid_however_many() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        let names = [
            "/nobody".into(),
            "/a b".into(),
            "/é🎉".into(),
            "/".repeat(500),
        ];
        let many = (0..300).map(|number| format!("/n{number}"));
        for namespace in names.into_iter().chain(many) {
            client.send(format!("40{namespace},")).await.expect("sent");
            let answer = client.next().await.expect("an answer");
            let expected = format!("44{namespace},{{\"message\":\"Invalid namespace\"}}");
            assert_eq!(answer, Packet::Text(expected));
        }
        assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn c12_auth_that_is_no_json_lets_nobody_in() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for auth in [
            "{no json",
            "{\"a\":1",
            "[1",
            "{\"a\":1}}",
            "{\"a\":01}",
            &deep,
        ] {
            let addr = witness.server.addr();
            let mut client = RawClient::open(transport, addr).await.expect("opened");
            let entered = client.enter("/", auth).await;
            let auth: String = auth.chars().take(20).collect();
            assert!(entered.is_err(), "{auth} over {transport}");
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s10_a_name_that_socketio_reserves_is_no_event_of_a_client() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let addr = witness.server.addr();
        // The probe listens to every event of this namespace.
        let mut client = RawClient::connect(transport, addr, "/star").await;
        for name in ["connect", "connect_error", "disconnect", "disconnecting"] {
            client
                .send(format!("42/star,7[\"{name}\"]"))
                .await
                .expect("sent");
            let ack = client.ack("/star,7").await.expect("an ack");
            assert!(ack.contains("\"code\":400") && ack.contains(name), "{ack}");
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s10_coming_and_going_again_and_again_ends_in_order() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for round in 0..20 {
            // Until the client has received something after the answer to CONNECT, the library may still handle that
            // CONNECT and ignore the next one.
            assert_eq!(client.ask("0", "[\"echo\"]").await.expect("an ack"), "[]");
            client.send("41").await.expect("sent");
            client.enter("/", "").await.expect("let in");
            // The context is the context of a new connection.
            let noted = client.ask("1", &format!("[\"note\",{round}]")).await;
            assert_eq!(noted.expect("an ack"), format!("[\"{round}\"]"));
        }
        witness.assert_unharmed().await;
    }
}
