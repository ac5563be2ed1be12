//! The sender against servers that misbehave, with names of a resolver of its own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
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

mod answers;
mod destinations;
mod places;
mod tls;

use super::destination::{Destination, OutboundEntry};
use super::grant::{Grant, Turns};
use super::resolver::Resolve;
use super::sender::{OutgoingHttp, OutgoingSettings};
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
    fn resolve(&self, name: &str, _: &Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
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
        Self::trusting(None, requests, loopback)
    }

    /// Makes a sender that trusts the certificates of a file.
    fn trusting(ca_file: Option<&Path>, requests: usize, loopback: bool) -> Self {
        let (names, metrics) = (Names::default(), Arc::<Metrics>::default());
        let settings = OutgoingSettings {
            requests,
            ca_file,
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
            turn: None,
            parallel: Arc::clone(&self.parallel),
            ended: self.ended.clone(),
            options: RequestOptions::default(),
        }
    }

    async fn send(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        self.send_with(request, self.grant()).await
    }

    async fn send_with(
        &self,
        request: Request<WasiBody>,
        grant: Grant,
    ) -> Result<Response<WasiBody>, Error> {
        let destination = Destination::of(request.uri()).expect("a destination");
        let sent = self.outgoing.clone().send(request, destination, grant);
        tokio::time::timeout(LONG * 2, sent).await.expect("an end")
    }

    async fn get(&self, url: &str) -> Result<Response<WasiBody>, Error> {
        self.send(get(url)).await
    }

    /// Starts a request whose response nobody waits for.
    fn start(&self, url: &str) -> tokio::task::JoinHandle<()> {
        let (request, grant) = (get(url), self.grant());
        let destination = Destination::of(request.uri()).expect("a destination");
        let sent = self.outgoing.clone().send(request, destination, grant);
        tokio::spawn(async move { drop(sent.await) })
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

fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(empty()).expect("a request")
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
