//! The cost of a call in process, with each life of instances: the runtime alone, without doors, on one core.
//!
//! Run the benchmark with `cargo bench --workspace --bench call`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::BoxFuture;
use hitchy::config::Config;
use hitchy::emitter::Emitter;
use hitchy::message::{CallId, Door, Event, Exchange, Request};
use hitchy::outbound::OutboundMemory;
use hitchy::path::Target;
use hitchy::payload::{Failure, Payload};
use hitchy::runtime::{
    CallContext, Candidate, Compiler, ContentHash, Handler, HandlerSettings, Life, MessageSizes,
    Modules, Runtime, RuntimeSettings,
};
use hitchy::session::{Bounds, Sessions};
use hitchy::sockets::{Connection, Handshake, Link, not_connected};
use hitchy_tests::guests::{example, fixture, guest};
use hitchy_tests::toolchains::python;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;
use tokio::runtime::Runtime as Tokio;
use tokio::sync::mpsc::unbounded_channel;

/// The allocator that the server uses too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REMOTE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

fn calls(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    let runtime = tokio.block_on(async { runtime() });
    let python = python("hello");
    for life in [Life::Call, Life::Socket, Life::Shared] {
        let load = |name, wasm| tokio.block_on(load(&runtime, name, wasm, life));
        let (hello, version) = (
            load("hello.wasm", example("hello")),
            load("version.wasm", guest("version_one")),
        );
        let script = load("hello.js", fixture("js/hello.js"));
        let python = python.clone();
        let python = python.map(|wasm| load("hello-python.wasm", wasm));
        // With `socket`, requests have fresh instances.
        if life != Life::Socket {
            requests(
                criterion,
                &tokio,
                &format!("request: hello ({life})"),
                &hello,
            );
            let name = format!("request: version, without SDK ({life})");
            requests(criterion, &tokio, &name, &version);
            let name = format!("request: script ({life})");
            requests(criterion, &tokio, &name, &script);
            if let Some(python) = &python {
                let name = format!("request: Python ({life})");
                requests(criterion, &tokio, &name, python);
            }
        }
        let mut measure = |name, handler, listener| {
            let name = format!("event: {name} ({life})");
            events(criterion, &tokio, &name, handler, listener);
        };
        measure("version", &version, 0);
        measure("script", &script, 0);
        measure("script that sends to a room", &script, 1);
        if let Some(python) = &python {
            measure("Python", python, 0);
        }
    }
}

/// Measures the request `GET /api/hello/you` to the first route of a handler.
fn requests(criterion: &mut Criterion, tokio: &Tokio, name: &str, handler: &Handler) {
    let you: [(String, String); 1] = [("name".into(), "you".into())];
    let you: Arc<[(String, String)]> = you.into();
    // The door converts a client's bytes to an exchange, and this is not part of the call.
    let exchange = Arc::new(Exchange::new(request()));
    criterion.bench_function(name, |bencher| {
        bencher.to_async(tokio).iter(|| async {
            let exchange = Arc::clone(&exchange);
            let context = CallContext::new(id(), REMOTE);
            let response = handler
                .on_request(context, 0, exchange, Arc::clone(&you))
                .await;
            let response = black_box(response).expect("no trap").expect("no failure");
            assert_eq!(response.status, 200);
        });
    });
}

/// Measures the event of a listener, of one client.
fn events(criterion: &mut Criterion, tokio: &Tokio, name: &str, handler: &Handler, listener: u32) {
    let connection = Arc::new(connection());
    let message = json!({ "room": "general", "text": "hello there" });
    let (event, payload) = match listener {
        0 => ("version", Payload::empty()),
        _ => ("chat:send", Payload::one(&message)),
    };
    criterion.bench_function(name, |bencher| {
        bencher.to_async(tokio).iter(|| async {
            let event = Event {
                id: id(),
                name: event.into(),
                payload: payload.clone(),
                ack_wanted: true,
            };
            let context = CallContext::new(id(), REMOTE);
            let ack = handler
                .on_event(context, listener, Arc::clone(&connection), &event)
                .await;
            let ack = black_box(ack).expect("no trap").expect("no failure");
            assert!(ack.is_some());
        });
    });
}

fn runtime() -> Runtime {
    let (_service, io) = socketioxide::SocketIo::new_svc();
    io.ns("/", async || {});
    let mut backends = Extensions::new();
    backends.insert(Emitter::new(io, Arc::default()));
    let settings = RuntimeSettings {
        calls: 16,
        memory_budget: 1 << 30,
        kept_instances: 16,
        sizes: MessageSizes {
            payload: 1 << 20,
            answer: 4 << 20,
        },
        compiler: Compiler::Here,
        compile_memory: 1 << 30,
        cache: Default::default(),
        backends,
    };
    Runtime::new(settings).expect("the runtime starts")
}

async fn load(runtime: &Runtime, name: &str, wasm: Vec<u8>, life: Life) -> Handler {
    let candidate = Candidate {
        name: name.into(),
        hash: ContentHash::of(&wasm),
        wasm: Bytes::from(wasm),
        settings: HandlerSettings {
            instances: life,
            ..settings()
        },
        modules: Modules::default(),
    };
    runtime
        .load(candidate, None)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn settings() -> HandlerSettings {
    let settings = Config::default().handler_settings("bench", None);
    settings.expect("the defaults are within bounds")
}

fn id() -> CallId {
    "0123456789abcdef".into()
}

/// Returns a request as a browser sends it, with a dozen headers.
fn request() -> Request {
    let headers = (0..12).map(|number| {
        let name = HeaderName::try_from(format!("x-header-{number}")).expect("a name");
        (
            name,
            HeaderValue::from_static("a value of some length, as browsers send them"),
        )
    });
    Request {
        id: id(),
        door: Door::Http,
        method: Method::GET,
        target: Target {
            path: "/api/hello/you".into(),
            query: None,
            slash: false,
        },
        headers: headers.collect::<HeaderMap>(),
        body: Bytes::new(),
        remote: REMOTE,
        socket: None,
        context: Default::default(),
    }
}

fn connection() -> Connection {
    let handshake = Handshake {
        remote: REMOTE,
        query: String::new(),
        headers: HeaderMap::new(),
        auth: None,
    };
    let bounds = Bounds {
        sessions: 1,
        unclaimed: 1,
        packets: 1,
        bytes: 1,
        stall: Duration::ZERO,
        connect: Duration::MAX,
    };
    let (closing, _closed) = unbounded_channel();
    let sessions = Sessions::new(
        bounds,
        OutboundMemory::new(u64::MAX),
        Arc::default(),
        closing,
    );
    let session = sessions.open(REMOTE.ip(), None).expect("there is room");
    Connection::new(
        "id".into(),
        "/".into(),
        handshake,
        session,
        Box::new(Nobody),
    )
}

/// A client that takes every emit and never acks.
struct Nobody;

impl Link for Nobody {
    fn emit(&self, _: &str, _: &Payload) -> Result<(), Failure> {
        Ok(())
    }

    fn emit_with_ack<'a>(
        &'a self,
        _: &'a str,
        _: &'a Payload,
        _: Duration,
    ) -> BoxFuture<'a, Result<Payload, Failure>> {
        Box::pin(async { Err(not_connected()) })
    }

    fn rooms(&self) -> Vec<String> {
        Vec::new()
    }

    fn join(&self, _: Vec<String>) {}

    fn leave(&self, _: Vec<String>) {}

    fn disconnect(&self, _: bool) {}
}

criterion_group!(benches, calls);
criterion_main!(benches);
