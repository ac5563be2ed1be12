//! Packets that the official client never sends. Each packet harms at most the connection that sent it.

use hitchy_tests::raw::{Packet, RawClient, Witness, wait_for_end_in_log};
use hitchy_tests::wait::{SOON, within};
use serde_json::{Value, json};

const TRANSPORTS: [&str; 2] = ["websocket", "polling"];

/// The packets of one case. Each case is a text and its attachments.
type Sent = (&'static str, &'static [&'static [u8]]);

/// Packets without a meaning, sent by a client that is in `/`.
const NONSENSE: &[Sent] = &[
    // Packet types that do not exist, or that only the server sends.
    ("4", &[]),
    ("4?", &[]),
    ("4é", &[]),
    ("47", &[]),
    ("49[\"echo\"]", &[]),
    ("44{\"message\":\"a refusal of the server\"}", &[]),
    // Acks without an id or an event.
    ("43", &[]),
    ("43[1]", &[]),
    ("46", &[]),
    ("461-", &[]),
    ("461-[{\"_placeholder\":true,\"num\":0}]", &[b"a"]),
    // Events without a name.
    ("42", &[]),
    ("421", &[]),
    ("42no json", &[]),
    ("42{\"an\":\"object\"}", &[]),
    ("42\"text\"", &[]),
    ("421null", &[]),
    ("42[]", &[]),
    ("421[]", &[]),
    ("421[01]", &[]),
    ("421[1x]", &[]),
    ("421[null,1]", &[]),
    ("421[[\"echo\"]]", &[]),
    ("421[{\"echo\":1}]", &[]),
    ("421[\"echo", &[]),
    ("421[", &[]),
    // Too many attachments, or an invalid number of attachments.
    ("45", &[]),
    ("45[\"echo\"]", &[]),
    ("45-[\"echo\"]", &[]),
    ("45-1-[\"echo\"]", &[]),
    ("4511-1[\"echo\"]", &[]),
    ("45100000-1[\"echo\"]", &[]),
    ("455100000-1[\"echo\"]", &[]),
    ("4599999999999999999999-1[\"echo\"]", &[]),
    // More attachments than announced.
    (
        "451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]",
        &[b"a", b"b"],
    ),
    ("450-1[\"echo\"]", &[b"a"]),
    ("421[\"echo\"]", &[b"a"]),
];

/// Sends the packets of a case. Over polling, the server may refuse them in its answer, which is ignored.
async fn send(client: &mut RawClient, (text, attachments): &Sent) {
    let _ = client.send(*text).await;
    for bytes in *attachments {
        let _ = client.send_binary(bytes).await;
    }
}

#[tokio::test]
async fn s03_nonsense_ends_the_connection_that_sent_it_and_no_other() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        for sent in NONSENSE {
            let mut client = witness.other(transport).await;
            send(&mut client, sent).await;
            let end = client.ended(SOON);
            within(&format!("{sent:?} over {transport}"), SOON / 2, end).await;
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s03_the_log_says_why_a_websocket_was_ended() {
    the_log_says_why("websocket").await;
}

#[tokio::test]
async fn s03_the_log_says_why_a_session_over_polling_was_ended() {
    the_log_says_why("polling").await;
}

async fn the_log_says_why(transport: &str) {
    let witness = Witness::start().await;
    for sent in [NONSENSE[1], NONSENSE[12], NONSENSE[30], NONSENSE[33]] {
        let mut client = witness.other(transport).await;
        let from = witness.server.log().len();
        send(&mut client, &sent).await;
        client.ended(SOON).await;
        let line = wait_for_end_in_log(&witness.server, from, &client.names()).await;
        let for_people = !line.contains("Err(") && !line.contains("ParseError");
        assert!(for_people, "{line}");
    }
}

#[tokio::test]
async fn s03_text_between_a_header_and_its_attachments_ends_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        for text in ["421[\"echo\"]", "40", "451-[\"echo\",1]", "43999[1]"] {
            let mut client = witness.other(transport).await;
            let header = "452-1[\"echo\",{\"_placeholder\":true,\"num\":0}]";
            client.send(header).await.expect("sent");
            client.send_binary(b"one of two").await.expect("sent");
            let _ = client.send(text).await;
            client.ended(SOON).await;
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s03_an_attachment_without_a_header_ends_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        let _ = client.send_binary(b"for nobody").await;
        client.ended(SOON).await;
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s03_attachments_that_do_not_come_hold_up_nobody_else() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        let header = "453-1[\"echo\",{\"_placeholder\":true,\"num\":0}]";
        client.send(header).await.expect("sent");
        client.send_binary(b"one of three").await.expect("sent");
        witness.assert_unharmed().await;
        // The missing attachments may still arrive.
        client.send_binary(b"two").await.expect("sent");
        client.send_binary(b"three").await.expect("sent");
        let ack = client.next().await.expect("an ack");
        let expected = "461-1[{\"_placeholder\":true,\"num\":0}]";
        assert_eq!(ack, Packet::Text(expected.into()));
    }
}

/// Arguments that are not JSON, after a readable name. For socket.io, such a packet does not count as an event.
const BROKEN: &[&str] = &[
    "[\"echo\"",
    "[\"echo\",",
    "[\"echo\",]",
    "[\"echo\",1",
    "[\"echo\" 1]",
    "[\"echo\",NaN]",
    "[\"echo\",undefined]",
    "[\"echo\",'a']",
    "[\"echo\",\"\\x\"]",
    "[\"echo\",\"\\u12\"]",
    "[\"echo\",\"a\nb\"]",
    "[\"echo\",01]",
    "[\"echo\",{\"a\"}]",
    "[\"echo\",{a:1}]",
    "[\"echo\",\u{0}]",
];

#[tokio::test]
async fn s04_arguments_that_are_no_json_end_the_connection() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let unclosed = format!("[\"echo\",{}", "[".repeat(100_000));
        for text in BROKEN.iter().copied().chain([unclosed.as_str()]) {
            let mut client = witness.other(transport).await;
            let _ = client.send(format!("427{text}")).await;
            let end = client.ended(SOON * 2);
            let what: String = text.chars().take(60).collect();
            within(&format!("{what} over {transport}"), SOON / 2, end).await;
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn s04_what_follows_the_array_is_acked_400() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for text in [
            "[\"echo\",1]]",
            "[\"echo\",1] trailing",
            "[\"echo\"][\"echo\"]",
        ] {
            let ack = client.ask("7", text).await.expect("an ack");
            assert_failed(&ack, 400, text);
        }
        assert_eq!(client.ask("8", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

/// Placeholders that refer to none of the attachments.
const LOST: [&str; 10] = [
    "1",
    "10",
    "-1",
    "0.5",
    "1e0",
    "\"0\"",
    "null",
    "true",
    "18446744073709551616",
    "[0]",
];

#[tokio::test]
async fn b23_a_placeholder_that_stands_for_nothing_is_acked_400() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        client.enter("/hitchy", "").await.expect("let in");
        let nums = LOST.iter().map(|num| format!(",\"num\":{num}"));
        for num in nums.chain([String::new()]) {
            let placeholder = format!("{{\"_placeholder\":true{num}}}");
            for argument in [&placeholder, &format!("[{{\"deep\":{placeholder}}}]")] {
                let event = format!("451-7[\"echo\",{argument}]");
                client.send(event).await.expect("sent");
                client.send_binary(b"bytes").await.expect("sent");
                assert_failed(&client.ack("7").await.expect("an ack"), 400, argument);

                let request =
                    format!("{{\"url\":\"/echo\",\"method\":\"POST\",\"body\":{argument}}}");
                let event = format!("451-/hitchy,8[\"request\",{request}]");
                client.send(event).await.expect("sent");
                client.send_binary(b"bytes").await.expect("sent");
                let ack = client.ack("/hitchy,8").await.expect("an ack");
                let ack: Value = serde_json::from_str(&ack).expect("JSON");
                assert_eq!(ack[0]["statusCode"], 400, "{argument}: {ack}");
                assert_eq!(ack[0]["body"]["code"], 400, "{argument}: {ack}");
            }
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn b23_a_forged_placeholder_is_an_ordinary_object_both_ways() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for num in ["0", "7", "-1", "\"a\""] {
            let forged = format!("{{\"_placeholder\":true,\"num\":{num}}}");
            for header in ["42", "450-"] {
                let event = format!("{header}9[\"echo\",{forged}]");
                client.send(event).await.expect("sent");
                let ack = client.ack("9").await.expect("an ack");
                assert_eq!(ack, format!("[{forged}]"));
            }
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s04_json_that_is_nested_too_deep_is_acked_400() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for depth in [129, 100_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            for argument in [deep, objects] {
                let packet = format!("[\"echo\",{argument}]");
                let ack = client.ask("7", &packet).await.expect("an ack");
                assert_failed(&ack, 400, &format!("{depth} deep"));
            }
        }
        let deep = format!("[{}{}]", "[".repeat(127), "]".repeat(127));
        let packet = format!("[\"echo\",{}", &deep[1..]);
        assert_eq!(client.ask("8", &packet).await.expect("an ack"), deep);
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s04_odd_json_passes_as_the_text_it_is() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for argument in [
            "{\"a\":1,\"a\":2}",
            "{\"__proto__\":{\"admin\":true},\"constructor\":{\"prototype\":1}}",
            "1e999",
            "-1e-999",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\u0000\"",
            "{\"\\ud800\":1}",
            " [ 1 ,\t2 ] ",
            "\"\u{7f}\u{85}\u{feff}\"",
        ] {
            let packet = format!("[\"echo\",{argument}]");
            let ack = client.ask("7", &packet).await.expect("an ack");
            let came = ack.strip_prefix('[').and_then(|ack| ack.strip_suffix(']'));
            assert_eq!(came.map(str::trim), Some(argument.trim()));
        }
        let many = vec!["0"; 100_000].join(",");
        let packet = format!("[\"echo\",[{many}],{many}]");
        let ack = client.ask("8", &packet).await.expect("an ack");
        assert_eq!(ack, format!("[[{many}],{many}]"));
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s04_attachments_beside_odd_keys_are_acked_whatever_comes_of_them() {
    let mut witness = Witness::start().await;
    for transport in TRANSPORTS {
        let mut client = witness.other(transport).await;
        for argument in [
            "{\"\\ud800\":{\"_placeholder\":true,\"num\":0}}",
            "{\"a\":{\"_placeholder\":true,\"num\":0},\"a\":{\"_placeholder\":true,\"num\":0}}",
            "{\"_placeholder\":true,\"num\":0,\"num\":5}",
            "{\"_placeholder\":true,\"num\":5,\"num\":0}",
            "{\"_placeholder\":false,\"num\":0}",
            "{\"_placeholder\":1,\"num\":5}",
        ] {
            let event = format!("451-7[\"echo\",{argument}]");
            client.send(event).await.expect("sent");
            client.send_binary(b"bytes").await.expect("sent");
            let ack = text_of_an_ack(&mut client).await;
            assert!(ack.contains("7["), "{argument}: {ack}");
        }
        assert_eq!(client.ask("8", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

/// Returns the text of the next ack, with or without attachments.
async fn text_of_an_ack(client: &mut RawClient) -> String {
    loop {
        if let Packet::Text(text) = client.next().await.expect("an ack") {
            return text;
        }
    }
}

/// Asserts that the text of an ack is an error with this code.
#[track_caller]
fn assert_failed(ack: &str, code: u16, what: &str) {
    let what: String = what.chars().take(60).collect();
    let ack: Value = serde_json::from_str(ack).expect("an ack is JSON");
    assert_eq!(ack[0]["error"]["code"], json!(code), "{what}: {ack}");
    let message = ack[0]["error"]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{what}: {ack}");
}
