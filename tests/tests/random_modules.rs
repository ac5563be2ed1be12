//! Random modules of wasm-smith, in process: whatever they do, the host does not panic, keeps no instance, and ends
//! them in time.
//!
//! `HITCHY_RANDOM_MODULES=20000` asks for more of them than the default, `HITCHY_RANDOM_FIRST` for other seeds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use bytes::Bytes;
use hitchy::config::Config;
use hitchy::emitter::Emitter;
use hitchy::message::{Door, Exchange, Request};
use hitchy::path::Target;
use hitchy::runtime::{
    CallContext, CallError, Candidate, Compiler, ContentHash, HandlerSettings, LoadError,
    MessageSizes, Modules, Runtime, RuntimeSettings, Serve,
};
use hitchy_tests::components;
use http::{Extensions, HeaderMap, Method};
use wasm_smith::{Config as Shape, Module};

const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4711);
/// The bound of one call.
const BOUND: Duration = Duration::from_millis(50);
/// Longer than any call may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time for all random modules of an ordinary run.
const BUDGET: Duration = Duration::from_secs(900);

/// What became of the modules.
#[derive(Debug, Default)]
struct Outcomes {
    refused: u32,
    /// The beginnings of the causes, with their counts.
    causes: BTreeMap<String, u32>,
    answered: u32,
    trapped: u32,
    unusable: u32,
    out_of_memory: u32,
    stopped: u32,
}

#[tokio::test]
async fn g25_random_modules_neither_panic_the_host_nor_leave_anything() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let count = number("HITCHY_RANDOM_MODULES").unwrap_or(200);
    let first = number("HITCHY_RANDOM_FIRST").unwrap_or(0);
    let runtime = runtime();
    let began = Instant::now();
    let mut outcomes = Outcomes::default();
    let mut done = 0;
    for seed in first..first + count {
        if began.elapsed() > BUDGET {
            break;
        }
        let run = run(&runtime, seed, &mut outcomes);
        tokio::time::timeout(PATIENCE, run)
            .await
            .unwrap_or_else(|_| panic!("the module of seed {seed} is not ended"));
        done += 1;
        assert!(
            matches!(runtime.core_instances(), None | Some(0)),
            "seed {seed} leaves an instance"
        );
    }
    #[expect(clippy::print_stderr, reason = "the figures of a long run")]
    {
        eprintln!("{done} modules in {:?}: {outcomes:?}", began.elapsed());
    }
    assert!(
        u64::from(outcomes.refused) * 2 < done,
        "most modules are loaded: {outcomes:?}"
    );
}

/// Loads the module of a seed and calls it once.
async fn run(runtime: &Runtime, seed: u64, outcomes: &mut Outcomes) {
    // Every other module is a command, and goes through the adapter.
    let is_command = seed % 2 == 1;
    let wasm = if is_command {
        random(
            seed,
            r#"(module (memory (export "memory") 1) (func (export "_start")))"#,
        )
    } else {
        let exports = r#"(module (func (export "it") (param i32 i32) (result i32) unreachable))"#;
        components::answering_by(&random(seed, exports))
    };
    let mut settings = settings();
    settings.serve = if is_command {
        Serve::Cgi
    } else {
        Serve::Exports
    };
    let candidate = Candidate {
        name: "random.wasm".into(),
        hash: ContentHash::of(&wasm),
        wasm: Bytes::from(wasm),
        settings,
        modules: Modules::default(),
    };
    let handler = match runtime.load(candidate, None).await {
        Ok(handler) => handler,
        Err(LoadError::Compile(cause)) => panic!("seed {seed}: {cause}"),
        Err(LoadError::Describe(CallError::Host(cause))) => panic!("seed {seed}: {cause}"),
        Err(error) => {
            outcomes.refused += 1;
            let cause = error.to_string().chars().take(300).collect();
            *outcomes.causes.entry(cause).or_default() += 1;
            return;
        }
    };
    let context = CallContext::new("random".into(), REMOTE);
    let exchange = Arc::new(Exchange::new(request()));
    match handler
        .on_request(context, 0, exchange, Arc::from([]))
        .await
    {
        Ok(_) => outcomes.answered += 1,
        Err(CallError::Trap { .. }) => outcomes.trapped += 1,
        Err(CallError::BadAnswer(_)) => outcomes.unusable += 1,
        Err(CallError::OutOfMemory { .. }) => outcomes.out_of_memory += 1,
        Err(CallError::Cpu(_) | CallError::Deadline(_)) => outcomes.stopped += 1,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// Returns the module of a seed, with these exports.
fn random(seed: u64, exports: &str) -> Vec<u8> {
    let shape = Shape {
        exports: Some(components::component(exports)),
        allow_start_export: false,
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 32 << 20,
        max_table_elements: 10_000,
        exceptions_enabled: false,
        gc_enabled: false,
        reference_types_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        ..Shape::default()
    };
    let bytes = noise(seed, 4096);
    Module::new(shape, &mut Unstructured::new(&bytes))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        .to_bytes()
}

/// Returns bytes that look random and depend on nothing but the seed (splitmix64).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

fn runtime() -> Runtime {
    let (_service, io) = socketioxide::SocketIo::new_svc();
    io.ns("/", async || {});
    let mut backends = Extensions::new();
    backends.insert(Emitter::new(io, Arc::default()));
    let settings = RuntimeSettings {
        calls: 4,
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

fn settings() -> HandlerSettings {
    let defaults = Config::default().handler_settings("random", None);
    HandlerSettings {
        memory: 64 << 20,
        deadline: BOUND,
        cpu: BOUND,
        ..defaults.expect("the defaults are within bounds")
    }
}

fn request() -> Request {
    Request {
        id: "random".into(),
        door: Door::Http,
        method: Method::GET,
        target: Target {
            path: "/random".into(),
            query: None,
            slash: false,
        },
        headers: HeaderMap::new(),
        body: Bytes::new(),
        remote: REMOTE,
        socket: None,
        context: Default::default(),
    }
}
