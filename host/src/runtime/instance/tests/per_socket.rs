//! Tests of instances that belong to a connection.

use super::*;

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
