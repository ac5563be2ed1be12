//! Misuse of the transports below socket.io: frames, payloads, session ids, sizes and upgrades.

use std::time::Duration;

use hitchy_tests::Server;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::raw::{
    OPEN, Packet, RawClient, RawPolling, RawSocket, SEPARATOR, Witness, attachment, target,
    wait_for_end_in_log,
};
use hitchy_tests::wait::{SOON, within};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

/// The size limit of the servers in this file, in bytes.
const LIMIT: usize = 64 << 10;

async fn with_limit() -> Witness {
    let settings = "[server]\nbody-limit = \"64KiB\"";
    Witness::start_with(Server::prepare().settings(settings)).await
}

async fn websocket(witness: &Witness) -> RawSocket {
    let client = RawSocket::connect(witness.server.addr(), "/").await;
    client.expect("let in")
}

async fn polling(witness: &Witness) -> RawPolling {
    let client = RawPolling::open(witness.server.addr()).await;
    let mut client = client.expect("opened");
    client.enter("/", "").await.expect("let in");
    client
}

/// Returns an event as a packet of engine.io that is exactly `size` bytes long.
fn event_of(size: usize, id: &str) -> String {
    let (start, end) = (format!("42{id}[\"echo\",\""), "\"]");
    let letters = size - start.len() - end.len();
    format!("{start}{}{end}", "x".repeat(letters))
}

#[tokio::test]
async fn s12_packets_that_are_none_end_a_websocket() {
    let mut witness = Witness::start().await;
    // The types 5 and 6 belong to an upgrade, and type 0 is the server's.
    for packet in ["", "0", "0{}", "5", "6", "7", "9", "x", "é", "bnotbase64!"] {
        let mut client = RawClient::Websocket(Box::new(websocket(&witness).await));
        client.send(packet).await.expect("sent");
        within(packet, SOON, client.ended(SOON)).await;
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s12_payloads_that_are_none_are_answered_400() {
    let mut witness = Witness::start().await;
    let separator = SEPARATOR.to_string();
    let payloads: [&[u8]; 11] = [
        b"0{}",
        b"5",
        b"6",
        b"7",
        b"x",
        "é".as_bytes(),
        b"b!!!",
        b"\xff\xfe",
        b"4\xff",
        separator.as_bytes(),
        b"{\"json\":true}",
    ];
    for payload in payloads {
        let mut client = polling(&witness).await;
        let answer = client.post(payload).await.expect("an answer");
        assert_eq!(answer.status, 400, "{payload:?}: {answer:?}");
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s12_one_payload_may_have_many_packets() {
    let mut witness = Witness::start().await;
    let mut client = polling(&witness).await;
    let header = "451-3[\"echo\",{\"_placeholder\":true,\"num\":0}]".to_owned();
    let packets = [
        "421[\"note\",1]".to_owned(),
        "422[\"note\",2]".to_owned(),
        header,
        attachment(b"\x00\x1e\xff"),
    ];
    let payload = packets.join(&SEPARATOR.to_string());
    let answer = client.post(payload.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    for expected in [
        Packet::Text("431[\"1\"]".into()),
        Packet::Text("432[\"1,2\"]".into()),
        Packet::Text("461-3[{\"_placeholder\":true,\"num\":0}]".into()),
        Packet::Binary(b"\x00\x1e\xff".to_vec().into()),
    ] {
        assert_eq!(client.next().await.expect("a packet"), expected);
    }
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s03_frames_that_are_no_text_end_a_websocket() {
    let mut witness = Witness::start().await;
    let frames: [(Data, &[u8], bool); 4] = [
        (Data::Text, b"4\xff\xfe", true),
        (Data::Text, b"421[\"echo\",\"\xed\xa0\x80\"]", true),
        (Data::Reserved(3), b"?", true),
        (Data::Continue, b"of nothing", true),
    ];
    for (kind, bytes, last) in frames {
        let mut client = websocket(&witness).await;
        let sent = client.send_frame(kind, bytes.to_vec(), last).await;
        sent.expect("sent");
        RawClient::Websocket(Box::new(client)).ended(SOON).await;
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s02_a_message_of_100000_fragments_is_one_message() {
    let mut witness = Witness::start().await;
    let mut client = websocket(&witness).await;
    let event = event_of(100_000, "7");
    let bytes = event.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        let kind = if place == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let last = place + 1 == bytes.len();
        let sent = client.feed_frame(kind, vec![*byte], last).await;
        sent.expect("sent");
    }
    client.send("428[\"echo\"]").await.expect("sent");
    let mut client = RawClient::Websocket(Box::new(client));
    let ack = client.ack("7").await.expect("an ack");
    assert_eq!(format!("427[\"echo\",{}", &ack[1..]), event);
    assert_eq!(client.ack("8").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s02_a_websocket_message_above_the_limit_is_acked_413_and_the_connection_stays() {
    let mut witness = with_limit().await;
    let from = witness.server.log().len();
    let mut client = RawClient::Websocket(Box::new(websocket(&witness).await));
    let fits = event_of(LIMIT, "1");
    client.send(fits).await.expect("sent");
    assert!(client.ack("1").await.expect("an ack").contains("xxx"));
    for size in [LIMIT + 1024, 2 * LIMIT, 4 * LIMIT - 1024] {
        client.send(event_of(size, "2")).await.expect("sent");
        let ack = client.ack("2").await.expect("an ack");
        assert!(ack.contains("\"code\":413"), "{ack}");
    }
    // Attachments count towards the size.
    let header = "452-3[\"echo\",{\"_placeholder\":true,\"num\":0}]";
    client.send(header).await.expect("sent");
    for _ in 0..2 {
        let half = vec![1; LIMIT / 2 + 1];
        client.send_binary(&half).await.expect("sent");
    }
    let ack = client.ack("3").await.expect("an ack");
    assert!(ack.contains("\"code\":413"), "{ack}");
    assert_eq!(client.ask("4", "[\"echo\"]").await.expect("an ack"), "[]");
    let words = [client.sid(), "body-limit"];
    witness.server.wait_for_log_from(from, &words).await;
    witness.assert_unharmed().await;
}

/// Sends packets around the limit, which applies to the array of a packet: one byte decides.
#[tokio::test]
async fn s02_one_byte_above_the_limit_is_413() {
    let mut witness = with_limit().await;
    for transport in ["websocket", "polling"] {
        let mut client = witness.other(transport).await;
        let event = |size: usize| {
            let (start, end) = ("[\"echo\",\"", "\"]");
            let letters = size - start.len() - end.len();
            format!("{start}{}{end}", "x".repeat(letters))
        };
        let ack = client.ask("1", &event(LIMIT)).await.expect("an ack");
        assert!(ack.contains("xxx"), "{}", &ack[..80]);
        let ack = client.ask("2", &event(LIMIT + 1)).await.expect("an ack");
        assert!(ack.contains("\"code\":413"), "{}", &ack[..80]);
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s02_a_websocket_message_above_four_times_the_limit_ends_the_connection() {
    let mut witness = with_limit().await;
    for binary in [false, true] {
        let from = witness.server.log().len();
        let mut client = RawClient::Websocket(Box::new(websocket(&witness).await));
        // The server may end the connection before all bytes are sent.
        let _ = if binary {
            client.send("451-1[\"echo\",1]").await.expect("sent");
            client.send_binary(&vec![1; 4 * LIMIT + 1]).await
        } else {
            client.send(event_of(4 * LIMIT + 1, "1")).await
        };
        client.ended(SOON).await;
        witness.assert_unharmed().await;
        wait_for_end_in_log(&witness.server, from, &client.names()).await;
    }
}

/// Sends payloads like those over a websocket. Up to four times the limit, the event is acked. Above that, the session
/// ends, and the answer to the POST names the reason.
#[tokio::test]
async fn s02_a_payload_above_the_limit_is_acked_or_answered_413() {
    let mut witness = with_limit().await;
    let mut client = RawClient::Polling(Box::new(polling(&witness).await));
    for size in [LIMIT + 1024, 2 * LIMIT, 4 * LIMIT - 1024] {
        client.send(event_of(size, "2")).await.expect("sent");
        let ack = client.ack("2").await.expect("an ack");
        assert!(ack.contains("\"code\":413"), "{ack}");
    }
    assert_eq!(client.ask("4", "[\"echo\"]").await.expect("an ack"), "[]");
    for size in [4 * LIMIT + 1024, 20 * LIMIT] {
        let from = witness.server.log().len();
        let mut client = polling(&witness).await;
        let payload = event_of(size, "1");
        let answer = client.post(payload.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 413, "{size}: {answer:?}");
        RawClient::Polling(Box::new(client)).ended(SOON).await;
        let words = ["body-limit"];
        witness.server.wait_for_log_from(from, &words).await;
        witness.assert_unharmed().await;
    }
}

/// Sends attachments that are each below the limit but need more than one POST.
#[tokio::test]
async fn s02_a_packet_above_the_limit_in_several_payloads_is_acked_413() {
    let mut witness = with_limit().await;
    let mut client = RawClient::Polling(Box::new(polling(&witness).await));
    client
        .send("452-3[\"echo\",{\"_placeholder\":true,\"num\":0}]")
        .await
        .expect("sent");
    for _ in 0..2 {
        let part = vec![1; LIMIT / 3 * 2];
        client.send_binary(&part).await.expect("sent");
    }
    let ack = client.ack("3").await.expect("an ack");
    assert!(ack.contains("\"code\":413"), "{ack}");
    assert_eq!(client.ask("4", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s12_two_gets_at_once_end_that_session_only() {
    let mut witness = Witness::start().await;
    let mut client = polling(&witness).await;
    let refused = client.overlap().await.expect("an answer");
    assert_eq!(refused.status, 400, "{refused:?}");
    let after = client.post(b"421[\"echo\"]").await.expect("an answer");
    assert_eq!(after.status, 400, "{after:?}");
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s12_unknown_session_ids_are_answered_400() {
    let mut witness = Witness::start().await;
    for sid in [
        "AAAAAAAAAAAAAAAA",
        "",
        "x",
        "é",
        "../../etc",
        "%00",
        &"A".repeat(2000),
    ] {
        for method in ["GET", "POST"] {
            let target = target(sid);
            let answer = witness
                .server
                .request(method, &target, &[], b"42[\"echo\"]");
            let answer = answer.await;
            assert_eq!(answer.status, 400, "{method} {sid}: {answer:?}");
        }
        let addr = witness.server.addr();
        let tcp = TcpStream::connect(addr).await.expect("open");
        let resumed = RawSocket::resume(tcp, addr, sid).await;
        // A connection without an id opens a session of its own.
        if let Ok(client) = resumed
            && !sid.is_empty()
        {
            RawClient::Websocket(Box::new(client)).ended(SOON).await;
        }
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s12_requests_that_open_nothing_are_answered_400() {
    let mut witness = Witness::start().await;
    for (method, target) in [
        ("GET", "/socket.io/"),
        ("GET", "/socket.io/?EIO=4"),
        ("GET", "/socket.io/?transport=polling"),
        ("GET", "/socket.io/?EIO=3&transport=polling"),
        ("GET", "/socket.io/?EIO=4&transport=pigeon"),
        ("GET", "/socket.io/?EIO=4&transport=websocket"),
        ("POST", OPEN),
        ("PUT", OPEN),
        ("DELETE", OPEN),
    ] {
        let answer = witness.server.request(method, target, &[], b"").await;
        assert_eq!(answer.status, 400, "{method} {target}: {answer:?}");
        witness.assert_unharmed().await;
    }
}

#[tokio::test]
async fn s12_a_post_after_the_upgrade_is_refused_and_the_websocket_goes_on() {
    let mut witness = Witness::start().await;
    let client = polling(&witness).await;
    let target = client.target();
    let upgraded = within("the upgrade", SOON, client.upgrade()).await;
    let mut client = RawClient::Websocket(Box::new(upgraded.expect("upgraded")));
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    for method in ["POST", "GET"] {
        let answer = witness
            .server
            .request(method, &target, &[], b"422[\"echo\",2]")
            .await;
        assert_eq!(answer.status, 400, "{method}: {answer:?}");
    }
    assert_eq!(client.ask("3", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

/// A proxy may let a websocket open and then break it. Clients of engine.io go on polling then.
#[tokio::test]
async fn s12_an_upgrade_without_its_words_ends_that_websocket_only() {
    let mut witness = Witness::start().await;
    let addr = witness.server.addr();
    let session = polling(&witness).await;
    for words in [
        &["2"][..],
        &["421[\"echo\"]"],
        &["x"],
        &[""],
        &["2probe", "4"],
        &["2probe", "3"],
    ] {
        let tcp = TcpStream::connect(addr).await.expect("open");
        let resumed = RawSocket::resume(tcp, addr, session.key()).await;
        let mut client = resumed.expect("open");
        for word in words {
            client.send(*word).await.expect("sent");
        }
        RawClient::Websocket(Box::new(client)).ended(SOON).await;
        witness.assert_unharmed().await;
    }
    let mut client = RawClient::Polling(Box::new(session));
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
}

/// The client waits for its last poll before it ends the upgrade.
#[tokio::test]
async fn s12_a_poll_that_waits_ends_when_the_probe_is_answered() {
    let mut witness = Witness::start().await;
    let addr = witness.server.addr();
    let mut session = polling(&witness).await;
    let key = session.key().to_owned();
    let polled = tokio::spawn(async move { (session.poll().await, session) });
    let tcp = TcpStream::connect(addr).await.expect("open");
    let mut client = RawSocket::resume(tcp, addr, &key).await.expect("open");
    client.send("2probe").await.expect("sent");
    let answer = client.next().await.expect("a packet");
    assert_eq!(answer, Packet::Text("3probe".into()));
    let (polled, session) = within("the poll", SOON, polled).await.expect("polled");
    assert_eq!(polled.expect("an answer").text(), "6");
    // Until the client ends the upgrade, it may still send by polling.
    let mut session = session;
    let answer = session.post(b"421[\"echo\",1]").await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    client.send("5").await.expect("sent");
    // What comes right behind the upgrade is not lost.
    client.send("422[\"echo\",2]").await.expect("sent");
    let mut client = RawClient::Websocket(Box::new(client));
    assert_eq!(client.ack("1").await.expect("an ack"), "[1]");
    assert_eq!(client.ack("2").await.expect("an ack"), "[2]");
    let refused = session.poll().await.expect("an answer");
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (400, 3.into())
    );
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s12_a_second_websocket_for_a_session_is_turned_away() {
    let mut witness = Witness::start().await;
    let first = websocket(&witness).await;
    let addr = witness.server.addr();
    let tcp = TcpStream::connect(addr).await.expect("open");
    if let Ok(second) = RawSocket::resume(tcp, addr, first.key()).await {
        RawClient::Websocket(Box::new(second)).ended(SOON).await;
    }
    let mut first = RawClient::Websocket(Box::new(first));
    assert_eq!(first.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s12_a_post_that_never_sends_its_body_is_answered_408() {
    let settings = "[server]\nbody-timeout = \"500ms\"\nbody-idle = \"400ms\"";
    let mut witness = Witness::start_with(Server::prepare().settings(settings)).await;
    for sent in [0, 5] {
        let client = polling(&witness).await;
        let whole = request("POST", &client.target(), &[], b"421[\"echo\"]");
        let mut lazy = Connection::open(witness.server.addr()).await;
        let part = &whole[..whole.len() - 11 + sent];
        lazy.send(part).await.expect("sent");
        let answer = within("an answer", Duration::from_secs(5), lazy.read("POST")).await;
        assert_eq!(answer.expect("an answer").status, 408, "{sent} bytes sent");
        witness.assert_unharmed().await;
    }
}
