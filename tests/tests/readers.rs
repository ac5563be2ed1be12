//! Clients that do not read, and connections that do not close: the data that is kept for them is bounded.

use std::time::Duration;

use hitchy_tests::raw::{Packet, RawClient, RawSocket, Witness, wait_for_end_in_log};
use hitchy_tests::wait::{SOON, until, within};
use hitchy_tests::{Server, guest};
use serde_json::json;
use tokio::net::TcpSocket;

/// The number of letters in each broadcast.
const SIZE: usize = 64 << 10;

/// Starts a server with the guest `probe` and these settings.
async fn with(settings: &str) -> Server {
    Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings(settings)
        .start()
        .await
}

/// Connects a client in `/` with a small receive buffer.
async fn narrow(server: &Server, auth: &str) -> RawSocket {
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = tcp.connect(server.addr()).await.expect("open");
    let client = RawSocket::open_over(tcp, server.addr()).await;
    let mut client = client.expect("opened");
    client.enter("/", auth).await.expect("let in");
    client
}

async fn is_listed(server: &Server, id: &str) -> bool {
    let listed = server.script(&json!([{ "do": "list-ids" }])).await;
    listed.to_string().contains(id)
}

/// A client that reads every broadcast and asserts that it arrives in order.
struct Reader {
    client: RawClient,
    next: u64,
    /// The packet that reports the end of another client, if it has arrived.
    left: Option<String>,
}

impl Reader {
    async fn connect(server: &Server) -> Self {
        Self {
            client: RawClient::connect("websocket", server.addr(), "/").await,
            next: 0,
            left: None,
        }
    }

    /// Emits broadcasts and reads all of them.
    async fn broadcast(&mut self, server: &Server, times: u64) {
        let from = self.next;
        let emit = json!([{ "do": "emit-many", "event": "news", "times": times, "from": from, "size": SIZE }]);
        let sent = server.script(&emit);
        let read = async {
            while self.next < from + times {
                self.read().await;
            }
        };
        let (sent, ()) = tokio::join!(sent, read);
        assert_eq!(sent[0]["ok"]["sent"], json!(times), "{sent}");
    }

    async fn read(&mut self) {
        let Packet::Text(text) = self.client.next().await.expect("the reader stays") else {
            panic!("an attachment")
        };
        if text.starts_with("42[\"left\"") {
            self.left = Some(text);
        } else if let Some(news) = text.strip_prefix("42[\"news\",") {
            let number = news
                .split(',')
                .next()
                .and_then(|number| number.parse().ok());
            assert_eq!(number, Some(self.next), "every broadcast, in order");
            self.next += 1;
        }
    }
}

/// Broadcasts to a client that does not read until the server ends it. Asserts that its hook has run and that the log
/// has the reason.
async fn is_ended(server: &mut Server, at_once: u64) {
    let from = server.log().len();
    let mut reader = Reader::connect(server).await;
    let lazy = narrow(server, "{\"announce\":true,\"user\":\"lazy\"}").await;
    let id = lazy.sid().to_owned();
    assert!(is_listed(server, &id).await);
    let gone = async {
        while is_listed(server, &id).await {
            reader.broadcast(server, at_once).await;
        }
        while reader.left.is_none() {
            reader.read().await;
        }
    };
    within("the client that does not read is gone", SOON * 3, gone).await;
    let left = reader.left.take().expect("told");
    assert!(left.contains(&id), "its hook ran: {left}");
    reader.broadcast(server, at_once).await;
    let names = [id, lazy.address().to_string()];
    wait_for_end_in_log(server, from, &names).await;
    server.assert_unharmed();
}

#[tokio::test]
async fn s13_a_client_that_does_not_read_is_ended_after_the_write_stall() {
    let mut server = with("[server]\nwrite-stall = \"500ms\"").await;
    within("it ends in time", SOON * 2, is_ended(&mut server, 8)).await;
}

#[tokio::test]
async fn s13_a_client_whose_send_buffer_is_full_is_ended() {
    let settings =
        "[server]\nwrite-stall = \"10min\"\n[socket]\nsend-buffer = 16\nping-interval = \"10min\"";
    let mut server = with(settings).await;
    within("it ends in time", SOON * 2, is_ended(&mut server, 8)).await;
}

/// Lets a polling client stop fetching its packets.
#[tokio::test]
async fn s13_a_client_that_polls_no_more_is_ended_when_its_send_buffer_is_full() {
    let settings = "[socket]\nsend-buffer = 16\nping-interval = \"10min\"";
    let mut server = with(settings).await;
    let from = server.log().len();
    let mut reader = Reader::connect(&server).await;
    let lazy = RawClient::connect("polling", server.addr(), "/").await;
    let gone = async {
        while is_listed(&server, lazy.sid()).await {
            reader.broadcast(&server, 8).await;
        }
    };
    within("it is gone", SOON, gone).await;
    reader.broadcast(&server, 8).await;
    wait_for_end_in_log(&server, from, &lazy.names()).await;
    server.assert_unharmed();
}

/// R10: the ack always arrives unless the connection ends.
#[tokio::test]
async fn s13_who_reads_slowly_gets_every_ack_or_its_end() {
    let mut server = with("[socket]\nsend-buffer = 16").await;
    let mut client = narrow(&server, "").await;
    let letters = "x".repeat(SIZE);
    let events = 200;
    for id in 0..events {
        let sent = client.send(format!("42{id}[\"echo\",\"{letters}\"]")).await;
        if sent.is_err() {
            break;
        }
    }
    let mut client = RawClient::Websocket(Box::new(client));
    let mut acks = Vec::new();
    while acks.len() < events {
        // `next` panics if neither a packet nor the end arrives in time.
        let Ok(packet) = client.next().await else {
            break;
        };
        if let Packet::Text(text) = packet
            && let Some(ack) = text.strip_prefix("43")
        {
            acks.push(ack.split('[').next().map(str::to_owned));
        }
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn c12_disconnect_with_close_ends_connections_that_do_not_close_by_themselves() {
    let mut witness = Witness::start().await;
    for transport in ["websocket", "polling"] {
        for audience in [false, true] {
            let mut client = witness.other(transport).await;
            client.enter("/chat", "").await.expect("let in");
            let id = client.sid();
            let step = if audience {
                json!({ "do": "disconnect", "rooms": [id], "close": true })
            } else {
                let of = json!({ "namespace": "/", "id": id });
                json!({ "do": "socket.disconnect", "of": of, "close": true })
            };
            witness.server.script(&json!([step])).await;
            client.ended(Duration::from_secs(5)).await;
            witness.assert_unharmed().await;
        }
    }
}

#[tokio::test]
async fn c12_disconnect_without_close_leaves_the_connection_open() {
    let mut witness = Witness::start().await;
    for transport in ["websocket", "polling"] {
        let mut client = witness.other(transport).await;
        client.enter("/chat", "").await.expect("let in");
        let of = json!({ "namespace": "/", "id": client.sid() });
        let step = json!({ "do": "socket.disconnect", "of": of });
        witness.server.script(&json!([step])).await;
        let goodbye = client.next().await.expect("a goodbye");
        assert_eq!(goodbye, Packet::Text("41".into()));
        client.send("42/chat,1[\"say\"]").await.expect("sent");
        assert_eq!(client.ack("/chat,1").await.expect("an ack"), "[\"sent\"]");
        witness.assert_unharmed().await;
    }
}

/// Disconnects a client that does not read, which affects no other client.
#[tokio::test]
async fn s13_who_does_not_read_can_be_disconnected() {
    let mut server = with("").await;
    let lazy = narrow(&server, "").await;
    let mut reader = Reader::connect(&server).await;
    for _ in 0..5 {
        reader.broadcast(&server, 30).await;
    }
    let of = json!({ "namespace": "/", "id": lazy.sid() });
    let step = json!({ "do": "socket.disconnect", "of": of, "close": true });
    server.script(&json!([step])).await;
    let gone = async || !is_listed(&server, lazy.sid()).await;
    until("it is gone", Duration::from_secs(5), gone).await;
    reader.broadcast(&server, 30).await;
    server.assert_unharmed();
}
