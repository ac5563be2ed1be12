//! The handlers folder: the served handlers follow its changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use hitchy::runtime::ContentHash;
use hitchy_tests::guests::stamped;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::load::{self, Plan};
use hitchy_tests::{Server, expect, guest, scripted};

#[tokio::test]
async fn l03_a_slow_copy_in_place_serves_the_old_version_until_it_is_complete() {
    let server = Server::with("v.wasm", guest("version_one")).await;
    let two = guest("version_two");
    let during = load::http(
        server.addr(),
        "/version",
        Plan::gentle(2, Duration::from_secs(3), Duration::from_millis(5)),
        |answer| matches!(answer.text().as_str(), "one" | "two"),
    );
    let copy = async {
        server
            .copy_slowly("v.wasm", &two, 10, async || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(100) {
                    assert_eq!(
                        server.get("/version").await.text(),
                        "one",
                        "half a file is not served"
                    );
                }
            })
            .await;
        let last_byte = Instant::now();
        server.wait_for_body("/version", "two").await;
        last_byte.elapsed()
    };
    let (outcome, took) = tokio::join!(during, copy);
    assert!(took < Duration::from_secs(2), "after {took:?}");
    assert_eq!(
        outcome.errors,
        Vec::<String>::new(),
        "of {} requests",
        outcome.times.count()
    );
}

#[tokio::test]
async fn l04_a_hundred_replacements_at_once_end_with_the_last() {
    let server = Server::with("v.wasm", guest("version_one")).await;
    let (one, two) = (guest("version_one"), guest("version_two"));
    let plan = Plan::gentle(2, Duration::from_secs(30), Duration::from_millis(5));
    let stop = plan.stop.clone();
    let during = load::http(server.addr(), "/version", plan, |answer| {
        matches!(answer.text().as_str(), "one" | "two")
    });
    let replace = async {
        for number in 0..100 {
            let version = if number % 2 == 0 { &two } else { &one };
            server.drop_in("v.wasm", stamped(version, &number.to_string()));
            tokio::task::yield_now().await;
        }
        let last = stamped(&two, "the last");
        let hash = ContentHash::of(&last).to_string();
        server.drop_in("v.wasm", last);
        server
            .wait_for_log(&["v.wasm: reloaded", &format!(" {hash} ")])
            .await;
        assert_eq!(server.get("/version").await.text(), "two");
        // No older version follows: the newest generation is the last one.
        let log = server.log();
        let reloads = |log: &hitchy_tests::lines::Lines| {
            log.all()
                .iter()
                .filter(|line| line.contains("v.wasm: reloaded"))
                .count()
        };
        let count = reloads(log);
        server.drop_in("end.wasm", scripted("name end\nroute GET /end"));
        server.wait_for_status("/end", 200).await;
        assert_eq!(server.get("/version").await.text(), "two");
        stop.now();
        (count, reloads(log))
    };
    let (outcome, (before, after)) = tokio::join!(during, replace);
    assert_eq!(
        outcome.errors,
        Vec::<String>::new(),
        "of {} requests",
        outcome.times.count()
    );
    assert!(
        before <= 60 && after == before,
        "{before} reloads, then {after}"
    );
}

#[tokio::test]
async fn l06_a_deleted_file_takes_its_routes_along() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .handler("other.wasm", scripted("name other\nroute GET /other"))
        .start()
        .await;
    server.remove("v.wasm");
    expect::error(&server.wait_for_status("/version", 404).await, 404);
    server.wait_for_log(&["v.wasm: removed"]).await;
    assert_eq!(server.get("/other").await.status, 200);
}

#[tokio::test]
async fn l06_a_renamed_file_keeps_its_routes_without_a_conflict() {
    let server = Server::with("a.wasm", guest("version_one")).await;
    let plan = Plan::gentle(2, Duration::from_secs(30), Duration::from_millis(2));
    let stop = plan.stop.clone();
    let during = load::http(server.addr(), "/version", plan, |_| true);
    let rename = async {
        for (from, to) in [
            ("a.wasm", "b.wasm"),
            ("b.wasm", "a.wasm"),
            ("a.wasm", "z.wasm"),
        ] {
            let before = server.log().len();
            server.rename(from, to);
            server
                .wait_for_log_from(before, &[&format!("{to}: ")])
                .await;
        }
        stop.now();
    };
    let (outcome, ()) = tokio::join!(during, rename);
    assert_eq!(
        outcome.errors,
        Vec::<String>::new(),
        "of {} requests",
        outcome.times.count()
    );
    let refused = server.log().find(0, |_, line| {
        line.contains("refused").then(|| line.to_string())
    });
    assert_eq!(refused, None, "`mv a b` is no conflict");
}

#[tokio::test]
async fn l06_l19_calls_under_way_finish_on_the_old_code() {
    let server = Server::with("v.wasm", guest("version_one")).await;
    let mut busy = Connection::open(server.addr()).await;
    // The answer to a later call shows that the earlier call is under way.
    let send_slow = async |busy: &mut Connection| {
        busy.send(request("GET", "/version/after/1500", &[], b""))
            .await
            .expect("sent");
        assert_eq!(server.get("/version/after/50").await.status, 200);
    };
    send_slow(&mut busy).await;
    server.drop_in("v.wasm", guest("version_two"));
    server.wait_for_body("/version", "two").await;
    let old = busy.read("GET").await.expect("an answer");
    assert_eq!((old.status, old.text().as_str()), (200, "one"));

    send_slow(&mut busy).await;
    server.remove("v.wasm");
    server.wait_for_status("/version", 404).await;
    let old = busy.read("GET").await.expect("an answer");
    assert_eq!(
        (old.status, old.text().as_str()),
        (200, "two"),
        "even when the file is gone"
    );
}

#[tokio::test]
async fn a_reload_says_file_generation_and_what_changed_and_the_same_content_is_none() {
    let server = Server::with("api/v.wasm", guest("version_one")).await;
    server
        .wait_for_log(&["api/v.wasm: loaded", "generation 1"])
        .await;
    server.drop_in("api/v.wasm", guest("version_two"));
    server
        .wait_for_log(&["api/v.wasm: reloaded", "generation 2"])
        .await;
    let from = server.log().len();
    server.drop_in("api/v.wasm", guest("version_two"));
    server.drop_in("end.wasm", scripted("name end\nroute GET /end"));
    server.wait_for_status("/end", 200).await;
    let again = server.log().find(from, |_, line| {
        line.contains("api/v.wasm").then(|| line.to_string())
    });
    assert_eq!(again, None, "the content decides");

    // Restoring the served file after a bad one is not a reload either.
    let from = server.log().len();
    server.drop_in("api/v.wasm", "no handler");
    expect::refused(
        &server,
        from,
        "api/v.wasm",
        &[],
        "still serving generation 2",
    )
    .await;
    let from = server.log().len();
    server.drop_in("api/v.wasm", guest("version_two"));
    server.drop_in("end.wasm", scripted("name end\nroute GET /end2"));
    server.wait_for_status("/end2", 200).await;
    let again = server.log().find(from, |_, line| {
        line.contains("api/v.wasm: reloaded")
            .then(|| line.to_string())
    });
    assert_eq!(again, None, "nothing has changed");
}

#[tokio::test]
async fn l07_a_folder_swapped_by_a_symlink_inside_is_followed() {
    let server = Server::prepare().start().await;
    let version = |name: &str, guest_name: &str| {
        let folder = server.handlers(name);
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("v.wasm"), guest(guest_name)).expect("written");
    };
    let swap = |to: &str| {
        symlink(to, server.handlers("..data_new")).expect("linked");
        server.rename("..data_new", "..data");
    };
    version("..one", "version_one");
    version("..two", "version_two");
    swap("..one");
    symlink("..data/v.wasm", server.handlers("v.wasm")).expect("linked");
    server.wait_for_body("/version", "one").await;
    for (to, body) in [("..two", "two"), ("..one", "one"), ("..two", "two")] {
        swap(to);
        server.wait_for_body("/version", body).await;
    }
}

#[tokio::test]
async fn l08_a_folder_that_vanishes_leaves_the_last_good_and_is_found_again() {
    let server = Server::with("v.wasm", guest("version_one")).await;
    let handlers = server.handlers("");
    let aside = server.dir().join("aside");
    let from = server.log().len();
    fs::rename(&handlers, &aside).expect("moved away");
    server.wait_for_log_from(from, &["handlers"]).await;
    assert_eq!(
        server.get("/version").await.text(),
        "one",
        "the last good stays"
    );
    fs::create_dir(&handlers).expect("made");
    server.drop_in("v.wasm", guest("version_two"));
    server.wait_for_body("/version", "two").await;
}

#[tokio::test]
async fn l11_a_newcomer_with_a_route_of_another_file_is_refused_until_that_goes() {
    let server = Server::with(
        "b.wasm",
        scripted("name b\nroute GET /clash/{id}\nroute GET /b"),
    )
    .await;
    let from = server.log().len();
    server.drop_in(
        "a.wasm",
        scripted("name a\nroute GET /clash/{other}\nroute GET /a"),
    );
    expect::refused(
        &server,
        from,
        "a.wasm",
        &["GET /clash/{", "b.wasm"],
        "not served",
    )
    .await;
    assert_eq!(
        server.get("/clash/1").await.json()["name"],
        "b",
        "the loaded one stays"
    );
    assert_eq!(
        server.get("/a").await.status,
        404,
        "nothing of the newcomer is served"
    );
    let start = Instant::now();
    server.remove("b.wasm");
    server.wait_for_body("/clash/1", "\"a\"").await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "promoted after {:?}",
        start.elapsed()
    );
    server.wait_for_log(&["a.wasm: loaded"]).await;
    assert_eq!(server.get("/a").await.status, 200);
}

#[tokio::test]
async fn l11_at_start_the_order_of_names_decides_each_time() {
    for _ in 0..3 {
        let server = Server::prepare()
            .handler("b.wasm", scripted("name b\nroute GET /clash"))
            .handler("a.wasm", scripted("name a\nroute GET /clash"))
            .handler(
                "c.wasm",
                scripted("name c\nroute POST /clash\nlistener / x"),
            )
            .start()
            .await;
        assert_eq!(server.get("/clash").await.json()["name"], "a");
        assert_eq!(
            server.request("POST", "/clash", &[], b"").await.json()["name"],
            "c",
            "another method is no conflict"
        );
        expect::refused(
            &server,
            0,
            "b.wasm",
            &["GET /clash", "a.wasm"],
            "not served",
        )
        .await;
    }
}

#[tokio::test]
async fn l11_a_reload_into_a_conflict_keeps_the_old_generation() {
    let server = Server::prepare()
        .handler("a.wasm", scripted("name a\nroute GET /a"))
        .handler("b.wasm", scripted("name b\nroute GET /b"))
        .start()
        .await;
    let from = server.log().len();
    server.drop_in(
        "b.wasm",
        scripted("name newer-b\nroute GET /b\nroute GET /a"),
    );
    expect::refused(
        &server,
        from,
        "b.wasm",
        &["GET /a", "a.wasm"],
        "still serving generation 1",
    )
    .await;
    assert_eq!(server.get("/b").await.json()["name"], "b");
    server.remove("a.wasm");
    server.wait_for_body("/a", "newer-b").await;
    assert_eq!(server.get("/b").await.json()["name"], "newer-b");
}

#[tokio::test]
async fn l17_names_are_taken_or_ignored_as_documented() {
    let server = Server::prepare()
        .handler(".hidden.wasm", scripted("name hidden\nroute GET /hidden"))
        .handler("backup.wasm~", scripted("name backup\nroute GET /backup"))
        .handler("part.wasm.part", scripted("name part\nroute GET /part"))
        .handler(
            "a name with grüße.wasm",
            scripted("name spaces\nroute GET /spaces"),
        )
        .handler("deep/er/still.wasm", scripted("name deep\nroute GET /deep"))
        .handler("two\nlines.wasm", "no handler")
        .start()
        .await;
    for (path, status) in [
        ("/hidden", 404),
        ("/backup", 404),
        ("/part", 404),
        ("/spaces", 200),
        ("/deep", 200),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    server.wait_for_log(&["deep/er/still.wasm: loaded"]).await;
    let torn = server
        .log()
        .find(0, |_, line| line.starts_with("lines.wasm").then_some(()));
    assert_eq!(torn, None, "one record is one line");
}
