//! Bounds on the memory that one client can use in the server: waiting events, packets that it does not read, rooms and
//! sessions.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hitchy_tests::http::{Answer, Connection, tcp_from};
use hitchy_tests::raw::{
    OPEN, Packet, RawClient, RawPolling, RawSocket, Witness, target, wait_for_end_in_log,
};
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, guest};
use serde_json::{Value, json};

/// The maximum number of waiting events of one connection, including the event that runs.
const WAITING: usize = 256;

async fn with(settings: &str) -> Witness {
    Witness::start_with(Server::prepare().settings(settings)).await
}

#[tokio::test]
async fn s06_events_above_the_bound_are_acked_429_and_the_rest_is_answered() {
    let mut witness = Witness::start().await;
    for transport in ["websocket", "polling"] {
        let mut client = witness.other(transport).await;
        // The first event runs until all others have arrived.
        client.send("421000[\"slow\",2000]").await.expect("sent");
        let events = WAITING + 44;
        let packets: Vec<String> = (0..events)
            .map(|id| format!("42{id}[\"echo\",{id}]"))
            .collect();
        send_all(&mut client, &packets).await;
        let (mut answered, mut refused) = (Vec::new(), Vec::new());
        while answered.len() + refused.len() < events {
            let Packet::Text(text) = client.next().await.expect("an ack") else {
                panic!("an attachment")
            };
            let Some(ack) = text.strip_prefix("43") else {
                continue;
            };
            let (id, ack) = ack.split_at(ack.find('[').expect("arguments"));
            let id: usize = id.parse().expect("an id");
            if ack == format!("[{id}]") {
                answered.push(id);
            } else if id != 1000 {
                assert!(ack.contains("\"error\":{\"code\":429"), "{ack}");
                refused.push(id);
            }
        }
        let waited = WAITING - 1;
        assert_eq!(answered, (0..waited).collect::<Vec<_>>(), "{transport}");
        assert_eq!(refused, (waited..events).collect::<Vec<_>>(), "{transport}");
        assert_eq!(client.ask("9", "[\"echo\"]").await.expect("an ack"), "[]");
        witness.assert_unharmed().await;
    }
}

/// Sends packets at once. Over polling, they are sent in as few payloads as possible.
async fn send_all(client: &mut RawClient, packets: &[String]) {
    match client {
        RawClient::Websocket(client) => {
            for packet in packets {
                client.send(packet.as_str()).await.expect("sent");
            }
        }
        RawClient::Polling(client) => {
            let payload = packets.join(&hitchy_tests::raw::SEPARATOR.to_string());
            let answer = client.post(payload.as_bytes()).await;
            assert_eq!(answer.expect("an answer").status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_who_goes_on_at_ten_times_the_bound_is_disconnected() {
    // The long timeout is needed because the witness answers no pings during the flood.
    let mut witness = with("[socket]\nping-timeout = \"10min\"").await;
    let from = witness.server.log().len();
    let client = RawSocket::connect(witness.server.addr(), "/").await;
    let mut client = client.expect("let in");
    let names = [client.sid().to_owned()];
    // One event runs, others wait, and all further events exceed the bound. The client reads every answer, so the
    // connection does not end because of a full send buffer.
    let (event, mut unanswered) = ("421[\"slow\",3000]", 0);
    let flood =
        async { while let Ok(()) = client.flood(event, 300, &mut unanswered, WAITING).await {} };
    within("the flood is ended", SOON * 3, flood).await;
    witness.assert_unharmed().await;
    let line = wait_for_end_in_log(&witness.server, from, &names).await;
    assert!(
        line.contains("sending") && line.contains("reason=\"flood\""),
        "{line}"
    );
}

#[tokio::test]
async fn c11_more_than_1000_rooms_are_refused_to_one_and_to_an_audience() {
    let mut witness = Witness::start().await;
    let mut client = witness.other("websocket").await;
    assert_eq!(client.ask("1", "[\"echo\"]").await.expect("an ack"), "[]");
    let of = json!({ "namespace": "/", "id": client.sid() });
    let rooms = |name: &str, count: usize| -> Vec<String> {
        let numbers = 0..count;
        numbers.map(|number| format!("{name} {number}")).collect()
    };
    let one = |rooms: Vec<String>| json!({ "do": "socket.join", "of": of, "rooms": rooms });
    let audience =
        |rooms: Vec<String>| json!({ "do": "join", "rooms": [client.sid()], "join": rooms });
    let steps = json!([
        one(rooms("a", 250)),
        audience(rooms("b", 250)),
        one(rooms("c", 250)),
        audience(rooms("d", 240)),
        // The member has 991 rooms at this point, including its own.
        audience(rooms("e", 100)),
        one(rooms("f", 100)),
        { "do": "socket.rooms", "of": of },
    ]);
    let results = witness.server.script(&steps).await;
    let codes: Vec<_> = (0..6)
        .map(|step| &results[step]["failed"]["code"])
        .collect();
    let (no, refused) = (Value::Null, json!(413));
    assert_eq!(codes, [&no, &no, &no, &no, &refused, &refused]);
    let rooms = results[6]["ok"].as_array().map(Vec::len);
    assert_eq!(rooms, Some(991));
    witness.assert_unharmed().await;
}

/// Another address of this machine.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn ask_from_elsewhere(server: &Server, method: &str, key: &str) -> Answer {
    let tcp = tcp_from(ELSEWHERE, server.addr()).await;
    let mut elsewhere = Connection::over(tcp).expect("open");
    let body: &[u8] = if method == "POST" {
        b"421[\"echo\",1]"
    } else {
        b""
    };
    elsewhere.ask(method, &target(key), &[], body).await
}

#[tokio::test]
async fn s12_a_session_can_be_bound_to_the_address_that_opened_it() {
    let mut witness = with("[socket]\nbind-address = true").await;
    let addr = witness.server.addr();
    let mut client = RawPolling::open(addr).await.expect("opened");
    client.enter("/", "").await.expect("let in");
    for method in ["GET", "POST"] {
        let answer = ask_from_elsewhere(&witness.server, method, client.key()).await;
        assert_eq!(answer.status, 400, "{method}: {answer:?}");
        let unknown = witness.server.get(&target("AAAAAAAAAAAAAAAA")).await;
        assert_eq!(answer.text(), unknown.text(), "as if there were none");
        assert_eq!(answer.json()["code"], 1);
    }
    let tcp = tcp_from(ELSEWHERE, addr).await;
    let resumed = RawSocket::resume(tcp, addr, client.key()).await;
    assert!(resumed.is_err(), "nor as a websocket");
    // The owner of the session can continue.
    let mut client = RawClient::Polling(Box::new(client));
    assert_eq!(
        client.ask("2", "[\"echo\",2]").await.expect("an ack"),
        "[2]"
    );
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s12_sessions_are_not_bound_to_an_address() {
    let witness = Witness::start().await;
    let mut client = RawPolling::open(witness.server.addr())
        .await
        .expect("opened");
    client.enter("/", "").await.expect("let in");
    let answer = ask_from_elsewhere(&witness.server, "POST", client.key()).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let mut client = RawClient::Polling(Box::new(client));
    assert_eq!(client.ack("1").await.expect("an ack"), "[1]");
}

/// Asserts that no more sessions can be opened, over either transport.
async fn assert_full(server: &Server) {
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let websocket = "/socket.io/?EIO=4&transport=websocket";
    for (target, headers) in [(OPEN, &[][..]), (websocket, &upgrade[..])] {
        let mut connection = Connection::open(server.addr()).await;
        let answer = connection.ask("GET", target, headers, b"").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

#[tokio::test]
async fn s11_sessions_that_join_no_namespace_are_bounded() {
    let mut witness = with("[socket]\nmax-unclaimed = 3").await;
    let addr = witness.server.addr();
    let mut first = RawPolling::open(addr).await.expect("opened");
    let _second = RawPolling::open(addr).await.expect("opened");
    let _third = RawSocket::open(addr).await.expect("opened");
    assert_full(&witness.server).await;
    first.enter("/", "").await.expect("let in");
    let _fourth = RawPolling::open(addr).await.expect("there is room again");
    assert_full(&witness.server).await;
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s11_sessions_that_join_no_namespace_are_ended_in_time() {
    let mut witness = with("[socket]\nmax-unclaimed = 2\nconnect-timeout = \"500ms\"").await;
    let addr = witness.server.addr();
    let polling = RawPolling::open(addr).await.expect("opened");
    let websocket = RawSocket::open(addr).await.expect("opened");
    RawClient::Polling(Box::new(polling)).ended(SOON).await;
    RawClient::Websocket(Box::new(websocket)).ended(SOON).await;
    let opens = async || RawPolling::open(addr).await.is_ok();
    until("there is room again", SOON, opens).await;
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s11_sessions_are_bounded() {
    // The witness has one of the sessions.
    let mut witness = with("[socket]\nmax-sockets = 3").await;
    let mut first = witness.other("polling").await;
    let _second = witness.other("websocket").await;
    assert_full(&witness.server).await;
    first.send("1").await.expect("sent");
    let addr = witness.server.addr();
    let opens = async || RawPolling::open(addr).await.is_ok();
    until("there is room again", SOON, opens).await;
    assert_full(&witness.server).await;
    witness.assert_unharmed().await;
}

#[tokio::test]
async fn s11_transports_are_those_that_are_set() {
    let mut witness = with("[socket]\ntransports = [\"websocket\"]").await;
    let answer = witness.server.get(OPEN).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    witness.assert_unharmed().await;

    let server = Server::prepare()
        .settings("[socket]\ntransports = [\"polling\"]")
        .start()
        .await;
    assert!(RawSocket::open(server.addr()).await.is_err());
    let client = RawPolling::open(server.addr()).await.expect("opened");
    assert!(client.upgrade().await.is_err());
}

#[tokio::test]
async fn s13_a_client_that_answers_no_ping_is_gone_in_time() {
    let settings = "[socket]\nping-interval = \"500ms\"\nping-timeout = \"700ms\"";
    let witness = with(settings).await;
    let server = &witness.server;
    for transport in ["websocket", "polling"] {
        let start = std::time::Instant::now();
        let silent = witness.other(transport).await;
        let is_listed = async || {
            let listed = server.script(&json!([{ "do": "list-ids" }])).await;
            listed.to_string().contains(silent.sid())
        };
        assert!(is_listed().await);
        until("it is gone", SOON, async || !is_listed().await).await;
        let took = start.elapsed();
        // The server sends the first ping at once.
        let fair = Duration::from_millis(700)..Duration::from_millis(3000);
        assert!(fair.contains(&took), "{transport}: {took:?}");
    }
}

#[tokio::test]
async fn g22_what_is_too_large_for_an_import_is_an_error_for_the_guest() {
    let mut server = Server::with("probe.wasm", guest("probe")).await;
    let large = 10_000_000;
    let steps = json!([
        { "do": "dispatch", "method": "POST", "url": "/echo", "body-size": large },
        { "do": "emit-many", "event": "e", "times": 1, "size": large },
        { "do": "emit-to", "event": "e", "rooms": 5000 },
        { "do": "emit-to-with-ack", "event": "e", "rooms": [], "excluding": 5000 },
        { "do": "join", "rooms": 5000, "join": ["r"] },
        { "do": "leave", "rooms": 5000, "leave": ["r"] },
        { "do": "join", "rooms": [], "join": 100_000 },
        { "do": "disconnect", "rooms": 5000 },
        { "do": "list-ids", "namespace": "n".repeat(2000) },
        { "do": "request.set", "key": "k", "value": "v".repeat(300_000) },
        { "do": "log", "message": "x", "times": large },
        { "do": "emit-to", "event": "e", "rooms": 4096 },
    ]);
    let results = server.script(&steps).await;
    let codes: Vec<_> = results
        .as_array()
        .expect("a list")
        .iter()
        .map(code)
        .collect();
    let mut wanted = vec![Some(413); 10];
    wanted.extend([None, None]);
    assert_eq!(codes, wanted, "{results}");
    let sentence = results[0]["failed"]["message"]
        .as_str()
        .expect("a sentence");
    assert!(
        sentence.contains("10000000") && sentence.contains("4194304"),
        "{sentence}"
    );
    server.assert_unharmed();
}

/// Returns the code with which a step of a script failed.
fn code(result: &Value) -> Option<u64> {
    let failed = result["failed"]["code"].as_u64();
    failed.or_else(|| result["code"].as_u64().or(result["ok"]["code"].as_u64()))
}
