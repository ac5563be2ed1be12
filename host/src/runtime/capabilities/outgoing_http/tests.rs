//! The sender against servers that misbehave, with names of a resolver of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::destination::{Destination, OutboundEntry};
use super::resolver::Resolve;
use super::sender::{Grant, OutgoingHttp, OutgoingSettings};
use crate::lock::lock;
use crate::metrics::Metrics;

/// Longest time of a request in a test that is not about time.
const LONG: Duration = Duration::from_secs(20);

/// Names with their addresses, and how often each was asked for. A name that is not in it does not exist.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>);

impl Names {
    /// Adds a name. Each question takes the next of `answers`, and the last one stays.
    fn add(&self, name: &str, answers: &[&[&str]]) {
        let parse = |text: &&str| text.parse().expect("an address");
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(parse).collect())
            .collect();
        lock(&self.0).insert(name.to_owned(), answers);
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut names = lock(&self.0);
        let answer = match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        if name == "silent.test" {
            return std::future::pending().boxed();
        }
        async move { answer }.boxed()
    }
}

/// A sender with names of its own. Loopback is a network that names may resolve to unless the test says otherwise.
struct Stage {
    outgoing: OutgoingHttp,
    names: Names,
    metrics: Arc<Metrics>,
    parallel: Arc<Semaphore>,
    bytes: usize,
    time: Duration,
    ended: CancellationToken,
}

impl Stage {
    fn new() -> Self {
        Self::with(64, true)
    }

    fn with(requests: usize, loopback: bool) -> Self {
        let (names, metrics) = (Names::default(), Arc::<Metrics>::default());
        let settings = OutgoingSettings {
            requests,
            ca_file: None,
            networks: Box::new(move |address: IpAddr| loopback && address.is_loopback()),
        };
        let resolver = Box::new(names.clone());
        let outgoing = OutgoingHttp::with_resolver(settings, Arc::clone(&metrics), resolver);
        Self {
            outgoing: outgoing.expect("no file is read"),
            names,
            metrics,
            parallel: Arc::new(Semaphore::new(6)),
            bytes: 4 << 20,
            time: LONG,
            ended: CancellationToken::new(),
        }
    }

    fn grant(&self) -> Grant {
        Grant {
            handler: "shop.wasm".into(),
            end: Instant::now() + self.time,
            bytes: self.bytes,
            parallel: Arc::clone(&self.parallel),
            ended: self.ended.clone(),
            options: RequestOptions::default(),
        }
    }

    async fn send(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let destination = Destination::of(request.uri()).expect("a destination");
        let sent = self
            .outgoing
            .clone()
            .send(request, destination, self.grant());
        tokio::time::timeout(LONG * 2, sent).await.expect("an end")
    }

    async fn get(&self, url: &str) -> Result<Response<WasiBody>, Error> {
        self.send(Request::get(url).body(empty()).expect("a request"))
            .await
    }

    /// Returns the body of the response, or the error that it ended with.
    async fn text(&self, url: &str) -> Result<String, Error> {
        text(self.get(url).await?).await
    }

    /// Returns how many requests had an outcome.
    fn count(&self, outcome: &str) -> u64 {
        let mut totals = self.metrics.outgoing.totals();
        totals.find(|(name, _)| *name == outcome).expect(outcome).1
    }
}

async fn text(response: Response<WasiBody>) -> Result<String, Error> {
    let collected = tokio::time::timeout(LONG * 2, response.into_body().collect()).await;
    let bytes = collected.expect("an end")?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn empty() -> WasiBody {
    full("")
}

fn full(text: &'static str) -> WasiBody {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A server whose connections are all treated alike, and the heads of requests that it read.
struct Fake {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Connections that are open now.
    open: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection of a [`Fake`].
struct Peer {
    stream: BufReader<TcpStream>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Reads the head of the next request. `None` at the end of the connection.
    async fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        lock(&self.heads).push(head.clone());
        Some(head)
    }

    async fn write(&mut self, text: &str) -> Option<()> {
        self.stream.write_all(text.as_bytes()).await.ok()
    }

    /// Waits until the other side has closed the connection.
    async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

impl Fake {
    /// Starts a server that treats each connection with `treat`, which returns when it wants the connection closed.
    async fn start<F>(treat: impl Fn(Peer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (connections, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (counted, opened, read) = (connections.clone(), open.clone(), heads.clone());
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                opened.fetch_add(1, Ordering::SeqCst);
                let peer = Peer {
                    stream: BufReader::new(stream),
                    heads: read.clone(),
                };
                let (treated, opened) = (treat(peer), opened.clone());
                tasks.spawn(async move {
                    treated.await;
                    opened.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            connections,
            open,
            heads,
            task,
        }
    }

    /// Starts a server that answers every request with the same text.
    async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut peer| async move {
            while peer.head().await.is_some() {
                peer.write(answer).await?;
            }
            Some(())
        })
        .await
    }

    /// Starts a server that accepts, reads, and never answers.
    async fn silent() -> Self {
        Self::start(|mut peer| async move {
            peer.closed().await;
            Some(())
        })
        .await
    }

    /// Returns a URL of the server by its literal address.
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn named(&self, name: &str) -> String {
        format!("http://{name}:{}/", self.address.port())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until as many connections are open.
    async fn open(&self, count: usize) {
        let deadline = Instant::now() + LONG;
        while self.open.load(Ordering::SeqCst) != count {
            assert!(
                Instant::now() < deadline,
                "the connections do not become {count}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn g19_a_server_that_accepts_and_is_silent_ends_in_time() {
    let (server, mut stage) = (Fake::silent().await, Stage::new());
    stage.time = Duration::from_millis(300);
    let error = stage.get(&server.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    server.open(0).await;
    assert_eq!(stage.count("timed-out"), 1);
}

#[tokio::test]
async fn g19_a_guest_may_shorten_the_time_to_the_first_byte_and_between_bytes() {
    let stage = Stage::new();
    let mut grant = stage.grant();
    grant.options.first_byte_timeout = Some(Duration::from_millis(100));
    let silent = Fake::silent().await;
    let request = Request::get(silent.url()).body(empty()).unwrap();
    let destination = Destination::of(request.uri()).unwrap();
    let sent = stage
        .outgoing
        .clone()
        .send(request, destination, grant)
        .await;
    assert!(matches!(sent, Err(Error::HttpResponseTimeout)));

    let stops = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel")
            .await?;
        peer.closed().await;
        Some(())
    })
    .await;
    let mut grant = stage.grant();
    grant.options.between_bytes_timeout = Some(Duration::from_millis(100));
    let request = Request::get(stops.url()).body(empty()).unwrap();
    let destination = Destination::of(request.uri()).unwrap();
    let response = stage
        .outgoing
        .clone()
        .send(request, destination, grant)
        .await;
    let error = text(response.unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error:?}");
    stops.open(0).await;
}

#[tokio::test]
async fn g19_a_server_that_drips_ends_in_time() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            .await?;
        loop {
            peer.write("x").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut stage = Stage::new();
    stage.time = Duration::from_millis(400);
    let error = stage.text(&server.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
    server.open(0).await;
    assert_eq!(stage.count("timed-out"), 1);
}

#[tokio::test]
async fn g19_a_gigabyte_is_cut_at_the_limit() {
    // The server does not say how much will come.
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\n\r\n").await?;
        let part = "x".repeat(64 << 10);
        for _ in 0..(1 << 30) / part.len() {
            peer.write(&part).await?;
        }
        Some(())
    })
    .await;
    let stage = Stage::new();
    let mut body = stage.get(&server.url()).await.unwrap().into_body();
    let mut received = 0;
    let error = loop {
        match body.frame().await.expect("a frame or an error") {
            Ok(frame) => received += frame.into_data().map_or(0, |data| data.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HttpResponseBodySize(Some(limit)) if limit == 4 << 20));
    assert!(received <= 4 << 20, "{received}");
    server.open(0).await;
    assert_eq!(stage.count("limited"), 1);

    let honest = Fake::answering("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
    let error = stage.get(&honest.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseBodySize(Some(size)) if size == 1 << 30));
}

#[tokio::test]
async fn g19_a_redirect_is_not_followed() {
    let inner = Fake::answering(HELLO).await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        inner.url()
    );
    let server = Fake::answering(answer.leak()).await;
    let response = Stage::new().get(&server.url()).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn g19_a_name_with_a_special_address_is_refused_before_connecting() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::with(64, false));
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.5",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        // Also if it is one of several.
        for answer in [&[address][..], &["93.184.215.14", address][..]] {
            stage.names.add("api.example.com", &[answer]);
            let url = server.named("api.example.com");
            let error = stage.get(&url).await.unwrap_err();
            assert!(matches!(error, Error::DestinationIpProhibited), "{address}");
        }
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(stage.count("refused"), 24);
}

#[tokio::test]
async fn g19_what_the_setting_names_itself_may_be_private() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::with(64, false));
    assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    assert_eq!(
        stage.text(&server.named("localhost")).await.unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn g19_a_name_that_changes_its_address_is_refused_the_second_time() {
    let stage = Stage::new();
    let server = Fake::answering(HELLO).await;
    stage
        .names
        .add("rebinding.test", &[&["127.0.0.1"], &["169.254.169.254"]]);
    let url = server.named("rebinding.test");
    // One question for a request: the address that was checked is the one that is connected to.
    assert_eq!(stage.text(&url).await.unwrap(), "hello");
    let error = stage.get(&url).await.unwrap_err();
    assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn g19_host_and_path_are_those_of_the_checked_uri() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::new());
    stage.names.add("api.example.com", &[&["127.0.0.1"]]);
    for path in ["/x?y=1", "//evil.test/", "/http://evil.test/"] {
        let url = format!("http://API.example.com.:{}{path}", server.address.port());
        let request = Request::get(url).header("host", "evil.test");
        stage.send(request.body(empty()).unwrap()).await.unwrap();
        let head = lock(&server.heads).pop().expect("a head");
        let host = format!("host: api.example.com:{}\r\n", server.address.port());
        assert!(
            head.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains(&host) && !head.contains("host: evil"),
            "{head}"
        );
    }
    let request = Request::connect(server.url()).body(empty()).unwrap();
    let error = stage.send(request).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestMethodInvalid),
        "{error:?}"
    );
}

#[tokio::test]
async fn g19_names_that_do_not_resolve_have_errors_of_their_own() {
    let mut stage = Stage::new();
    let error = stage.get("http://nowhere.test/").await.unwrap_err();
    assert!(matches!(error, Error::DnsError { .. }), "{error:?}");
    stage.names.add("empty.test", &[&[]]);
    let error = stage.get("http://empty.test/").await.unwrap_err();
    assert!(matches!(error, Error::DestinationNotFound), "{error:?}");
    stage.time = Duration::from_millis(100);
    let error = stage.get("http://silent.test/").await.unwrap_err();
    assert!(matches!(error, Error::DnsTimeout), "{error:?}");
}

#[tokio::test]
async fn g19_a_port_without_a_server_is_refused_and_the_next_address_is_tried() {
    let stage = Stage::new();
    let server = Fake::answering(HELLO).await;
    // Nothing listens on the second loopback address.
    stage.names.add("two.test", &[&["127.0.0.2", "127.0.0.1"]]);
    assert_eq!(
        stage.text(&server.named("two.test")).await.unwrap(),
        "hello"
    );
    stage.names.add("one.test", &[&["127.0.0.2"]]);
    let error = stage.get(&server.named("one.test")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused), "{error:?}");
}

#[tokio::test]
async fn g19_a_server_that_closes_in_the_middle_is_an_error() {
    for (answer, is_head) in [
        ("", true),
        ("HTTP/1.1 200 OK\r\ncontent-le", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel", false),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            false,
        ),
    ] {
        let server = Fake::start(move |mut peer| async move {
            peer.head().await?;
            peer.write(answer).await
        })
        .await;
        let stage = Stage::new();
        let response = stage.get(&server.url()).await;
        assert_eq!(response.is_err(), is_head, "{answer}");
        let error = match response {
            Ok(response) => text(response).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            matches!(
                error,
                Error::HttpResponseIncomplete | Error::ConnectionTerminated
            ),
            "{answer}: {error:?}"
        );
        assert_eq!(stage.count("failed"), 1);
    }
}

#[tokio::test]
async fn g19_what_is_not_http_is_an_error() {
    for answer in [
        "\x16\x03\x01\x02\x00",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 999999\r\n\r\n",
    ] {
        let server = Fake::answering(answer).await;
        let error = Stage::new().get(&server.url()).await.unwrap_err();
        assert!(
            matches!(error, Error::HttpProtocolError),
            "{answer}: {error:?}"
        );
    }
    let server = Fake::answering(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    );
    let error = Stage::new().get(&server.await.url()).await.unwrap_err();
    assert!(matches!(error, Error::HttpProtocolError), "{error:?}");
}

#[tokio::test]
async fn g19_a_head_of_a_megabyte_is_an_error() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        let field = format!("x-filler: {}\r\n", "x".repeat(1 << 20));
        peer.write(&format!("HTTP/1.1 200 OK\r\n{field}\r\n")).await
    })
    .await;
    let stage = Stage::new();
    let error = stage.get(&server.url()).await.unwrap_err();
    assert!(
        matches!(error, Error::HttpResponseHeaderSectionSize(_)),
        "{error:?}"
    );
    assert_eq!(stage.count("limited"), 1);
}

#[tokio::test]
async fn g19_trailers_interim_answers_and_empty_bodies_are_understood() {
    let stage = Stage::new();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n";
    let server = Fake::answering(chunked).await;
    let collected = stage
        .get(&server.url())
        .await
        .unwrap()
        .into_body()
        .collect()
        .await;
    let collected = collected.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "hello");

    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let server = Fake::answering(interim).await;
    let request = Request::post(server.url()).header("expect", "100-continue");
    let response = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await.unwrap(), "hello");

    let server = Fake::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(stage.text(&server.url()).await.unwrap(), "");
    // A response to HEAD tells the length of a body that does not follow.
    let server = Fake::answering("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
    for _ in 0..2 {
        let request = Request::head(server.url()).body(empty()).unwrap();
        let response = stage.send(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "1073741824");
        assert_eq!(text(response).await.unwrap(), "");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn g19_a_request_that_is_too_large_is_not_sent_to_its_end() {
    let (server, mut stage) = (Fake::answering(HELLO).await, Stage::new());
    stage.bytes = 3;
    let request = Request::post(server.url()).header("content-length", "4");
    let error = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(4))),
        "{error:?}"
    );
    assert_eq!(server.connections(), 0);
    let request = Request::post(server.url()).header("transfer-encoding", "chunked");
    let error = stage
        .send(request.body(full("body")).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::HttpRequestBodySize(Some(3))),
        "{error:?}"
    );
}

#[tokio::test]
async fn g20_connections_are_used_again_after_a_good_answer_only() {
    let (server, stage) = (Fake::answering(HELLO).await, Stage::new());
    for _ in 0..10 {
        assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(stage.count("answered"), 10);

    // A body that nobody reads to its end closes the connection.
    let large = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello";
    let server = Fake::answering(large).await;
    drop(stage.get(&server.url()).await.unwrap());
    server.open(0).await;
    assert_eq!(stage.count("abandoned"), 1);
}

#[tokio::test]
async fn g20_a_kept_connection_that_the_server_closed_is_replaced() {
    let server = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write(HELLO).await
    })
    .await;
    let stage = Stage::new();
    for _ in 0..5 {
        assert_eq!(stage.text(&server.url()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn g20_a_thousand_at_once_wait_for_places_of_the_call_and_of_the_node() {
    let server = Fake::start(|mut peer| async move {
        while peer.head().await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            peer.write(HELLO).await?;
        }
        Some(())
    })
    .await;
    let stage = Stage::new();
    let most = Arc::<AtomicUsize>::default();
    let requests = (0..1000).map(|_| async {
        let answered = stage.text(&server.url()).await;
        most.fetch_max(server.open.load(Ordering::SeqCst), Ordering::SeqCst);
        answered
    });
    let answers = join_all(requests).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|text| text == "hello"))
    );
    assert!(most.load(Ordering::SeqCst) <= 6, "{most:?}");

    // Calls that have places of their own share those of the node.
    let stage = Stage::with(64, true);
    let places = Arc::<AtomicUsize>::default();
    let requests = (0..1000).map(|_| async {
        let mut grant = stage.grant();
        grant.parallel = Arc::new(Semaphore::new(6));
        let request = Request::get(server.url()).body(empty()).unwrap();
        let destination = Destination::of(request.uri()).unwrap();
        let response = stage
            .outgoing
            .clone()
            .send(request, destination, grant)
            .await;
        places.fetch_max(server.open.load(Ordering::SeqCst), Ordering::SeqCst);
        text(response?).await
    });
    let answers = join_all(requests).await;
    assert!(answers.iter().all(Result::is_ok));
    // Connections that were closed may be counted for a moment longer.
    assert!(places.load(Ordering::SeqCst) <= 64 + 32, "{places:?}");
    assert_eq!(stage.count("answered"), 1000);
}

#[tokio::test]
async fn g20_who_waits_too_long_for_a_place_gets_an_error() {
    let server = Fake::silent().await;
    let mut stage = Stage::with(2, true);
    stage.time = Duration::from_millis(500);
    let url = server.url();
    let errors = join_all((0..10).map(|_| async { stage.get(&url).await.unwrap_err() })).await;
    let waited = errors
        .iter()
        .filter(|error| matches!(error, Error::ConnectionLimitReached));
    assert_eq!(waited.count(), 8);
    assert_eq!((stage.count("limited"), stage.count("timed-out")), (8, 2));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn g20_the_end_of_the_call_closes_its_connections() {
    let silent = Fake::silent().await;
    let stops = Fake::start(|mut peer| async move {
        peer.head().await?;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel")
            .await?;
        peer.closed().await;
        Some(())
    })
    .await;
    let stage = Stage::new();
    let body = stage.get(&stops.url()).await.unwrap();
    let url = silent.url();
    let waiting = stage.get(&url);
    let end = async {
        silent.open(1).await;
        stage.ended.cancel();
    };
    let (sent, ()) = tokio::join!(waiting, end);
    assert!(matches!(sent, Err(Error::ConnectionTerminated)));
    silent.open(0).await;
    let error = text(body).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionTerminated), "{error:?}");
    stops.open(0).await;
}

#[test]
fn d06_only_entries_of_the_setting_are_allowed() {
    let entry: OutboundEntry = "http://localhost:9200".parse().unwrap();
    let destination = |uri: &str| Destination::of(&uri.parse().unwrap()).unwrap();
    assert!(entry.allows(&destination("http://localhost:9200/x")));
    for other in [
        "http://localhost",
        "http://127.0.0.1:9200",
        "https://localhost:9200",
    ] {
        assert!(!entry.allows(&destination(other)), "{other}");
    }
}
