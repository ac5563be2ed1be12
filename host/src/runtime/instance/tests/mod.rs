//! Tests of strategies and leases: which instance a call gets, and after which calls an instance ends.

mod keeper;
mod per_socket;
mod shared;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Extensions;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

use super::counts::InstanceEnd;
use super::lease::Lease;
use super::limits::MemoryBudget;
use super::state::State;
use super::store::{Linked, Template};
use super::*;
use crate::runtime::engine::{self, PoolSize, Ticker};
use crate::runtime::error::CallError;
use crate::runtime::services::{MessageSizes, Services};
use crate::sockets::Connection;
use crate::sockets::tests::connection;

/// A component that counts its calls in a global variable.
const COUNTER: &str = r#"(component
    (core module $m
        (memory (export "memory") 1)
        (global $n (mut i32) (i32.const 0))
        (func (export "count") (result i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (global.get $n))
        (func (export "grow") (result i32) (memory.grow (i32.const 1)))
        (func (export "trap") (result i32) unreachable)
        (func (export "loop") (result i32) (loop (br 0)) unreachable))
    (core instance $i (instantiate $m))
    (func (export "count") (result u32) (canon lift (core func $i "count")))
    (func (export "grow") (result u32) (canon lift (core func $i "grow")))
    (func (export "trap") (result u32) (canon lift (core func $i "trap")))
    (func (export "loop") (result u32) (canon lift (core func $i "loop"))))"#;

/// Bytes of the memory with which the component begins.
const PAGE: usize = 64 << 10;

struct Counter {
    name: Arc<str>,
    pre: InstancePre<State>,
    services: Arc<Services>,
    settings: Arc<HandlerSettings>,
    strategy: Strategy,
}

impl Counter {
    /// Makes a handler with these settings. Instances of all calls may have `budget` pages, and `kept` are kept.
    fn with(settings: HandlerSettings, budget: usize, kept: usize) -> Self {
        let size = PoolSize {
            calls: 4,
            kept: 4,
            memory: 1 << 20,
        };
        let (engine, _) = engine::pooled(size).unwrap();
        let component = Component::new(&engine, wat::parse_str(COUNTER).unwrap()).unwrap();
        let services = Services {
            sizes: MessageSizes {
                payload: 1 << 10,
                answer: 1 << 10,
            },
            budget: MemoryBudget::new(budget * PAGE, Keeper::new(kept, kept)),
            ticker: Ticker::start(engine.clone()).unwrap(),
            describing: tokio::sync::Semaphore::new(1),
            dispatcher: Default::default(),
            backends: Extensions::new(),
        };
        let name: Arc<str> = "counter.wasm".into();
        Self {
            strategy: Strategy::of(&name, &settings, services.budget.keeper(), false),
            name,
            pre: Linker::new(&engine).instantiate_pre(&component).unwrap(),
            services: Arc::new(services),
            settings: Arc::new(settings),
        }
    }

    fn of(life: Life) -> Self {
        let settings = HandlerSettings {
            instances: life,
            ..HandlerSettings::default()
        };
        Self::with(settings, 16, 16)
    }

    /// Calls a function as the code of kinds does.
    async fn call(&self, owner: Owner<'_>, function: &str) -> Result<u32, CallError> {
        self.call_at(owner, function, 0).await
    }

    /// Does the same for a nested call.
    async fn call_at(
        &self,
        owner: Owner<'_>,
        function: &str,
        depth: u32,
    ) -> Result<u32, CallError> {
        let mut call = call(&self.settings, depth);
        let mut lease = self.strategy.check_out(owner, &mut call).await?;
        self.call_in(&mut lease, call, function).await
    }

    async fn call_in(
        &self,
        lease: &mut Lease,
        call: Call,
        function: &str,
    ) -> Result<u32, CallError> {
        let template = Template {
            name: &self.name,
            pre: &self.pre,
            services: &self.services,
            source_map: None,
        };
        let work = async |store: &mut Store<State>, linked: &mut Linked| {
            let linked = linked.component();
            let function = linked.get_typed_func::<(), (u32,)>(&mut *store, function)?;
            let (count,) = function.call_async(&mut *store, ()).await?;
            Ok(count)
        };
        lease.call(template, call, work).await
    }

    async fn count(&self, owner: Owner<'_>) -> u32 {
        self.call(owner, "count").await.unwrap()
    }

    fn ended(&self, end: InstanceEnd) -> u64 {
        self.strategy.now().unwrap().ended[end as usize]
    }

    fn living(&self) -> usize {
        self.strategy.now().unwrap().living
    }
}

fn call(settings: &Arc<HandlerSettings>, depth: u32) -> Call {
    let began = Instant::now();
    Call {
        id: "1".into(),
        phase: Phase::Serving,
        began,
        entered: began,
        until: began + settings.deadline,
        depth,
        remote: ([127, 0, 0, 1], 1).into(),
        settings: Arc::clone(settings),
        stream: None,
        last_error: None,
    }
}

fn sockets<const N: usize>() -> [Arc<Connection>; N] {
    std::array::from_fn(|_| Arc::new(connection()))
}

#[tokio::test]
async fn d01_a_fresh_instance_sees_nothing_of_earlier_calls() {
    let counter = Counter::of(Life::Call);
    let [socket] = sockets();
    for owner in [
        Owner::Anyone,
        Owner::Socket(&socket),
        Owner::Socket(&socket),
    ] {
        assert_eq!(counter.count(owner).await, 1);
    }
}

#[tokio::test]
async fn g06_a_dropped_call_takes_its_instance_with_it() {
    let [socket] = sockets();
    for life in [Life::Socket, Life::Shared] {
        let counter = Counter::of(life);
        assert_eq!(counter.count(Owner::Socket(&socket)).await, 1);
        {
            let mut call = Box::pin(counter.call(Owner::Socket(&socket), "loop"));
            // The guest yields after its first tick. It is not polled again.
            assert!(futures_util::poll!(&mut call).is_pending());
        }
        assert_eq!(
            (counter.living(), counter.ended(InstanceEnd::Fault)),
            (0, 1)
        );
        assert_eq!(counter.count(Owner::Socket(&socket)).await, 1);
    }
}
