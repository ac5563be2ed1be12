//! Tests of the pool of shared instances.

use super::*;

#[tokio::test]
async fn d03_a_pool_has_no_more_instances_than_it_may_and_a_nested_call_waits_for_none() {
    let settings = HandlerSettings {
        instances: Life::Shared,
        max_instances: Some(1),
        ..HandlerSettings::default()
    };
    let counter = Counter::with(settings, 16, 16);
    assert_eq!(counter.count(Owner::Anyone).await, 1);
    let mut first = call(&counter.settings, 0);
    let lease = counter.strategy.check_out(Owner::Anyone, &mut first).await;
    let mut late = call(&counter.settings, 0);
    late.until = Instant::now() + Duration::from_millis(50);
    let waited = counter.strategy.check_out(Owner::Anyone, &mut late).await;
    assert!(matches!(waited, Err(CallError::PoolBusy { instances: 1 })));
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
