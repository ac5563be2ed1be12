//! Tests of strategies and leases: which instance a call gets, and after which calls an instance ends.

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
        let engine = engine::pooled(size).unwrap();
        let component = Component::new(&engine, wat::parse_str(COUNTER).unwrap()).unwrap();
        let services = Services {
            sizes: MessageSizes {
                payload: 1 << 10,
                answer: 1 << 10,
            },
            budget: MemoryBudget::new(budget * PAGE, Keeper::new(kept)),
            ticker: Ticker::start(engine.clone()).unwrap(),
            describing: tokio::sync::Semaphore::new(1),
            dispatcher: Default::default(),
            backends: Extensions::new(),
        };
        let name: Arc<str> = "counter.wasm".into();
        Self {
            strategy: Strategy::of(&name, &settings, services.budget.keeper()),
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
async fn d02_each_connection_has_an_instance_and_other_calls_have_fresh_ones() {
    let counter = Counter::of(Life::Socket);
    let [one, two] = sockets();
    for wanted in 1..=3 {
        assert_eq!(counter.count(Owner::Socket(&one)).await, wanted);
        assert_eq!(counter.count(Owner::Anyone).await, 1);
    }
    assert_eq!(counter.count(Owner::Socket(&two)).await, 1);
    assert_eq!(counter.living(), 2);
    one.attachments.end();
    assert_eq!(
        (counter.living(), counter.ended(InstanceEnd::Disconnect)),
        (1, 1)
    );
    // An event that runs after the end finds nothing and leaves nothing.
    assert_eq!(counter.count(Owner::Socket(&one)).await, 1);
    assert_eq!(counter.living(), 1);
    drop(two);
    assert_eq!(
        (counter.living(), counter.ended(InstanceEnd::Disconnect)),
        (0, 3)
    );
}

#[tokio::test]
async fn d02_a_fault_ends_the_instance_and_the_next_call_has_another() {
    let [socket] = sockets();
    for life in [Life::Socket, Life::Shared] {
        let counter = Counter::of(life);
        for failing in ["trap", "loop"] {
            assert_eq!(counter.count(Owner::Socket(&socket)).await, 1);
            let failed = counter.call(Owner::Socket(&socket), failing).await;
            assert!(failed.is_err(), "{life} {failing}");
        }
        assert_eq!(counter.count(Owner::Socket(&socket)).await, 1);
        assert_eq!(
            (counter.living(), counter.ended(InstanceEnd::Fault)),
            (1, 2)
        );
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

#[tokio::test]
async fn d02_a_call_waits_for_the_one_that_runs_in_its_instance_and_no_longer_than_its_deadline() {
    let settings = HandlerSettings {
        instances: Life::Socket,
        deadline: Duration::from_millis(200),
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 16, 16);
    let [socket] = sockets();
    let owner = Owner::Socket(&socket);
    let mut first = call(&counter.settings, 0);
    let lease = counter.strategy.check_out(owner, &mut first).await.unwrap();
    let waited = counter.call(owner, "count").await;
    assert!(
        matches!(waited, Err(CallError::InstanceBusy(_))),
        "{waited:?}"
    );
    let mut waiting = Box::pin(counter.call(owner, "count"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(lease);
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn d03_a_pool_has_no_more_instances_than_it_may_and_a_nested_call_waits_for_none() {
    let settings = HandlerSettings {
        instances: Life::Shared,
        max_instances: Some(1),
        deadline: Duration::from_millis(200),
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 16, 16);
    assert_eq!(counter.count(Owner::Anyone).await, 1);
    let mut first = call(&counter.settings, 0);
    let lease = counter.strategy.check_out(Owner::Anyone, &mut first).await;
    let waited = counter.call(Owner::Anyone, "count").await;
    assert!(
        matches!(waited, Err(CallError::PoolBusy { instances: 1 })),
        "{waited:?}"
    );
    let nested = counter.call_at(Owner::Anyone, "count", 1).await;
    assert_eq!(nested.unwrap(), 1, "it has an instance of its own");
    let mut waiting = Box::pin(counter.call(Owner::Anyone, "count"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(lease);
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(counter.living(), 1);
}

#[tokio::test]
async fn d03_the_instance_that_was_used_last_is_used_first() {
    let settings = HandlerSettings {
        instances: Life::Shared,
        concurrency: 2,
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 16, 16);
    let mut leases = Vec::new();
    for _ in 0..2 {
        let mut call = call(&counter.settings, 0);
        leases.push(
            counter
                .strategy
                .check_out(Owner::Anyone, &mut call)
                .await
                .unwrap(),
        );
    }
    for lease in &mut leases {
        let call = call(&counter.settings, 0);
        counter.call_in(lease, call, "count").await.unwrap();
    }
    leases.clear();
    for wanted in 2..5 {
        assert_eq!(counter.count(Owner::Anyone).await, wanted);
    }
}

#[tokio::test]
async fn d02_an_instance_ends_after_as_many_calls_as_it_may_have() {
    let [socket] = sockets();
    for (life, least) in [(Life::Socket, 20), (Life::Shared, 18)] {
        let settings = HandlerSettings {
            instances: life,
            max_calls: Some(20),
            ..HandlerSettings::default()
        };
        let counter = Counter::with(settings, 16, 16);
        let mut before = 0;
        for _ in 0..100 {
            let count = counter.count(Owner::Socket(&socket)).await;
            if count == 1 && before > 0 {
                assert!((least..=20).contains(&before), "{life}: {before}");
            }
            before = count;
        }
        assert!((4..=5).contains(&counter.ended(InstanceEnd::MaxCalls)));
    }
}

#[tokio::test]
async fn d02_idle_instances_end_by_themselves() {
    let settings = HandlerSettings {
        instances: Life::Socket,
        idle: Duration::from_millis(20),
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 16, 16);
    let sweeping = tokio::spawn(Arc::clone(counter.services.budget.keeper()).sweep());
    let all = sockets::<3>();
    for socket in &all {
        assert_eq!(counter.count(Owner::Socket(socket)).await, 1);
    }
    let ended = async {
        while counter.living() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let timed = tokio::time::timeout(Duration::from_secs(20), ended).await;
    timed.expect("they end");
    assert_eq!(counter.ended(InstanceEnd::Idle), 3);
    assert_eq!(counter.count(Owner::Socket(&all[0])).await, 1);
    sweeping.abort();
}

#[tokio::test]
async fn d02_memory_that_is_needed_is_taken_from_the_instance_used_least_recently() {
    let settings = HandlerSettings {
        instances: Life::Socket,
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 3, 16);
    let [one, two, three, four] = sockets();
    for socket in [&one, &two, &three, &one, &four] {
        counter.count(Owner::Socket(socket)).await;
    }
    assert_eq!(counter.ended(InstanceEnd::Memory), 1);
    assert_eq!(counter.count(Owner::Socket(&one)).await, 3);
    assert_eq!(
        counter.count(Owner::Socket(&two)).await,
        1,
        "it was the one"
    );
    // Four pages are more than the budget has: the call gets none, and nobody else loses theirs.
    let living = counter.living();
    for wanted in [1, 2, u32::MAX] {
        assert_eq!(
            counter.call(Owner::Socket(&one), "grow").await.unwrap(),
            wanted
        );
    }
    assert_eq!(counter.living(), living - 2);
    assert_eq!(counter.ended(InstanceEnd::Memory), 4);
}

#[tokio::test]
async fn d02_places_that_are_needed_are_taken_from_the_instances_used_least_recently() {
    let settings = HandlerSettings {
        instances: Life::Socket,
        ..HandlerSettings::default()
    };
    // The pool has places for twelve instances, of which two may be kept.
    let counter = Counter::with(settings, 64, 2);
    let all = sockets::<40>();
    for socket in &all {
        assert_eq!(counter.count(Owner::Socket(socket)).await, 1);
        assert!(counter.living() <= 2);
    }
    assert_eq!(counter.ended(InstanceEnd::Places), 38);
}

#[tokio::test]
async fn d02_a_pool_without_a_place_takes_one_from_an_instance_that_is_kept() {
    let settings = HandlerSettings {
        instances: Life::Socket,
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 64, 1000);
    let all = sockets::<40>();
    for socket in &all {
        assert_eq!(counter.count(Owner::Socket(socket)).await, 1);
    }
    assert_eq!(counter.living(), 12, "4 calls, as many nested, and 4 kept");
    assert_eq!(counter.ended(InstanceEnd::Places), 28);
}

#[tokio::test]
async fn d02_an_instance_of_old_code_that_its_connection_drops_ended_by_the_reload() {
    let [socket] = sockets();
    let (old, new) = (Counter::of(Life::Socket), Counter::of(Life::Socket));
    assert_eq!(old.count(Owner::Socket(&socket)).await, 1);
    old.strategy.close();
    // No sweeper is there, so that the connection is the first that drops it.
    assert_eq!(new.count(Owner::Socket(&socket)).await, 1);
    let ended = [InstanceEnd::Reload, InstanceEnd::Disconnect].map(|end| old.ended(end));
    assert_eq!((old.living(), ended), (0, [1, 0]));
}

#[tokio::test]
async fn d03_an_instance_that_is_free_too_late_is_left_to_the_next_call() {
    let [socket] = sockets();
    for life in [Life::Socket, Life::Shared] {
        let counter = Counter::of(life);
        let owner = Owner::Socket(&socket);
        let (mut first, mut late) = (call(&counter.settings, 0), call(&counter.settings, 0));
        late.until = Instant::now() + Duration::from_millis(250);
        let until = late.until;
        let mut lease = counter.strategy.check_out(owner, &mut first).await.unwrap();
        let mut waiting = pin!(counter.strategy.check_out(owner, &mut late));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let count = counter.call_in(&mut lease, first, "count").await;
        assert_eq!(count.unwrap(), 1);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        drop(lease);
        assert!(waiting.await.is_err(), "{life}");
        assert_eq!(
            counter.count(owner).await,
            2,
            "{life}: the instance is kept"
        );
    }
}

#[tokio::test]
async fn d02_a_reload_ends_the_instances_of_the_old_code() {
    let [socket] = sockets();
    for life in [Life::Socket, Life::Shared] {
        let counter = Counter::of(life);
        let keeper = Arc::clone(counter.services.budget.keeper());
        let sweeping = tokio::spawn(keeper.sweep());
        assert_eq!(counter.count(Owner::Socket(&socket)).await, 1);
        let mut under_way = call(&counter.settings, 0);
        let owner = Owner::Socket(&socket);
        let mut lease = counter
            .strategy
            .check_out(owner, &mut under_way)
            .await
            .unwrap();
        counter.strategy.close();
        let count = counter.call_in(&mut lease, under_way, "count").await;
        assert_eq!(count.unwrap(), 2, "the call ends in the old instance");
        drop(lease);
        assert_eq!(
            (counter.living(), counter.ended(InstanceEnd::Reload)),
            (0, 1)
        );
        sweeping.abort();
    }
}
