//! Tests of leases: which instance a call gets, and after which calls an instance is dropped.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::Extensions;
use wasmtime::Store;
use wasmtime::component::{Component, Instance as Linked, InstancePre, Linker};

use super::lease::{Instance, Lease, Owner, Strategy, TakeBack, Template};
use super::limits::MemoryBudget;
use super::state::{Call, Phase, State};
use super::*;
use crate::lock::lock;
use crate::runtime::engine::{self, PoolSize, Ticker};
use crate::runtime::error::CallError;
use crate::runtime::services::{MessageSizes, Services};

/// A component that counts its calls in a global variable.
const COUNTER: &str = r#"(component
    (core module $m
        (global $n (mut i32) (i32.const 0))
        (func (export "count") (result i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (global.get $n))
        (func (export "trap") (result i32) unreachable)
        (func (export "loop") (result i32) (loop (br 0)) unreachable))
    (core instance $i (instantiate $m))
    (func (export "count") (result u32) (canon lift (core func $i "count")))
    (func (export "trap") (result u32) (canon lift (core func $i "trap")))
    (func (export "loop") (result u32) (canon lift (core func $i "loop"))))"#;

/// A strategy that keeps every instance and hands out the one that came back last.
#[derive(Default)]
struct Shelf(Mutex<Vec<Instance>>);

impl TakeBack for Shelf {
    fn take_back(&self, instance: Instance) {
        lock(&self.0).push(instance);
    }
}

impl Strategy for Arc<Shelf> {
    fn check_out(&self, _owner: Owner<'_>) -> Lease {
        Lease::kept(lock(&self.0).pop(), Arc::<Shelf>::clone(self))
    }
}

struct Counter {
    name: Arc<str>,
    pre: InstancePre<State>,
    services: Arc<Services>,
}

impl Counter {
    fn new() -> Self {
        let size = PoolSize {
            calls: 4,
            memory: 1 << 20,
        };
        let engine = engine::pooled(size).unwrap();
        let component = Component::new(&engine, wat::parse_str(COUNTER).unwrap()).unwrap();
        let services = Services {
            sizes: MessageSizes {
                payload: 1 << 10,
                answer: 1 << 10,
            },
            budget: MemoryBudget::new(1 << 20),
            ticker: Ticker::start(engine.clone()).unwrap(),
            dispatcher: Default::default(),
            backends: Extensions::new(),
        };
        Self {
            name: "counter.wasm".into(),
            pre: Linker::new(&engine).instantiate_pre(&component).unwrap(),
            services: Arc::new(services),
        }
    }

    async fn call(&self, lease: &mut Lease, function: &str) -> Result<u32, CallError> {
        let template = Template {
            name: &self.name,
            pre: &self.pre,
            services: &self.services,
        };
        let work = async |store: &mut Store<State>, linked: &Linked| {
            let function = linked.get_typed_func::<(), (u32,)>(&mut *store, function)?;
            let (count,) = function.call_async(&mut *store, ()).await?;
            Ok(count)
        };
        lease.call(template, call(), work).await
    }
}

fn call() -> Call {
    let settings = HandlerSettings::default();
    Call {
        id: "1".into(),
        phase: Phase::Serving,
        began: Instant::now(),
        until: Instant::now() + settings.deadline,
        depth: 0,
        remote: ([127, 0, 0, 1], 1).into(),
        settings: Arc::new(settings),
        stream: None,
    }
}

#[tokio::test]
async fn d01_a_fresh_instance_sees_nothing_of_earlier_calls() {
    let counter = Counter::new();
    for _ in 0..2 {
        let mut lease = Fresh.check_out(Owner::Anyone);
        assert_eq!(counter.call(&mut lease, "count").await.unwrap(), 1);
        assert_eq!(counter.call(&mut lease, "count").await.unwrap(), 1);
    }
}

#[tokio::test]
async fn d02_a_kept_instance_lasts_until_a_call_of_it_fails() {
    let (counter, shelf) = (Counter::new(), Arc::<Shelf>::default());
    for wanted in 1..=3 {
        let mut lease = shelf.check_out(Owner::Anyone);
        assert_eq!(counter.call(&mut lease, "count").await.unwrap(), wanted);
    }
    for failing in ["trap", "loop"] {
        let mut lease = shelf.check_out(Owner::Anyone);
        assert!(counter.call(&mut lease, failing).await.is_err());
        assert_eq!(
            counter.call(&mut lease, "count").await.unwrap(),
            1,
            "{failing}"
        );
    }
}

#[tokio::test]
async fn g06_a_dropped_call_takes_its_instance_with_it() {
    let (counter, shelf) = (Counter::new(), Arc::<Shelf>::default());
    let mut lease = shelf.check_out(Owner::Anyone);
    assert_eq!(counter.call(&mut lease, "count").await.unwrap(), 1);
    {
        let mut call = Box::pin(counter.call(&mut lease, "loop"));
        // The guest yields after its first tick. It is not polled again.
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    drop(lease);
    assert!(lock(&shelf.0).is_empty());
}
