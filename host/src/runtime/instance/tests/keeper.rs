//! Tests of the end of idle instances: when they expire, when room is needed, and when their handler is replaced.

use super::*;

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
