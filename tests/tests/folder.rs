//! The handlers folder: what is loaded, what is refused and in which words, and how it follows changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use hitchy_tests::components::{self, ELF, JPEG};
use hitchy_tests::guests::stamped;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::load::{self, Plan};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, expect, guest, scripted};

/// Waits for the sentence that refuses `file`: the file, the cause, what to do, and what is served instead.
async fn refusal(
    server: &Server,
    from: usize,
    file: &str,
    words: &[&str],
    serving: &str,
) -> String {
    let line = server
        .wait_for_log_from(from, &[&format!("{file}: refused: ")])
        .await;
    for word in words {
        assert!(
            line.to_lowercase().contains(&word.to_lowercase()),
            "{word:?} is missing in: {line}"
        );
    }
    assert!(
        line.trim_end().ends_with(&format!("; {serving}")),
        "{serving:?} is missing in: {line}"
    );
    let sentence = line.split("refused: ").nth(1).unwrap_or_default();
    assert!(
        sentence.split("; ").count() >= 3,
        "cause; fix; what is served: {line}"
    );
    line
}

/// The files that are no handlers, and words that tell the cause.
fn no_handlers() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    // The header of code that wasmtime compiled ahead: an ELF file with its own mark.
    let mut compiled = ELF.to_vec();
    compiled.resize(4096, 0);
    compiled[7] = 200;
    compiled[48] = 2;
    compiled[52] = 64;
    compiled[58] = 64;
    let whole = guest("version_one");
    vec![
        ("empty", Vec::new(), &["empty"]),
        ("byte", vec![0], &[]),
        ("text", b"just some text".to_vec(), &["webassembly"]),
        ("wat", b"(component)".to_vec(), &["text"]),
        ("picture", JPEG.to_vec(), &["webassembly"]),
        ("program", ELF.to_vec(), &[]),
        ("compiled", compiled, &["compiled"]),
        ("half", whole[..whole.len() / 2].to_vec(), &[]),
        (
            "core-command",
            components::core_command(),
            &["core", "component"],
        ),
        ("command", components::command(), &["command"]),
        (
            "no-setup",
            components::without_setup(),
            &["hitchy:platform/setup"],
        ),
        (
            "unknown-import",
            components::importing("nobody:home/thing@1.2.3"),
            &["nobody:home/thing@1.2.3"],
        ),
        (
            "route-only",
            components::route_without_http(),
            &["a route", "hitchy:platform/http"],
        ),
    ]
}

#[tokio::test]
async fn l01_l12_what_is_no_handler_is_refused_at_start_with_its_cause() {
    let mut plan = Server::prepare().handler("good.wasm", guest("version_one"));
    for (name, bytes, _) in no_handlers() {
        plan = plan.handler(&format!("{name}.wasm"), bytes);
    }
    let mut server = plan.start().await;
    for (name, _, words) in no_handlers() {
        refusal(&server, 0, &format!("{name}.wasm"), words, "not served").await;
    }
    assert_eq!(server.get("/version").await.text(), "one");
    server.assert_unharmed();
}

#[tokio::test]
async fn l01_l12_what_is_no_handler_leaves_the_old_one_serving() {
    let mut server = Server::with("v.wasm", guest("version_one")).await;
    server
        .wait_for_log(&["v.wasm: loaded", "generation 1"])
        .await;
    for (name, bytes, words) in no_handlers() {
        let from = server.log().len();
        server.drop_in("v.wasm", bytes);
        let line = refusal(&server, from, "v.wasm", words, "still serving generation 1").await;
        assert_eq!(
            server.get("/version").await.text(),
            "one",
            "after {name}: {line}"
        );
    }
    let from = server.log().len();
    server.drop_in("v.wasm", guest("version_two"));
    server
        .wait_for_log_from(from, &["v.wasm: reloaded", "generation 2"])
        .await;
    assert_eq!(server.get("/version").await.text(), "two");
    server.assert_unharmed();
}

#[tokio::test]
async fn g04_l14_a_description_that_traps_loops_or_sleeps_is_refused_within_two_seconds() {
    let mut server = Server::with("v.wasm", guest("version_one")).await;
    for (name, bytes) in [
        ("traps", components::describing("unreachable")),
        ("loops", components::describing("(loop (br 0))")),
        ("starts with a loop", components::starting("(loop (br 0))")),
        ("starts with a trap", components::starting("unreachable")),
        ("panics", scripted("route GET /version\npanic")),
        ("sleeps", scripted("route GET /version\nsleep 5000")),
    ] {
        let from = server.log().len();
        let start = Instant::now();
        server.drop_in("v.wasm", bytes);
        let line = refusal(&server, from, "v.wasm", &[], "still serving generation 1").await;
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "{name}: after {:?}: {line}",
            start.elapsed()
        );
        assert_eq!(server.get("/version").await.text(), "one", "after {name}");
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn l14_declarations_are_checked_and_each_refusal_names_what_is_wrong() {
    let server = Server::with("v.wasm", scripted("name old\nroute GET /old")).await;
    let mut wrong = Vec::new();
    for (script, words) in [
        ("repeat 257 route GET /many/", vec!["256"]),
        ("repeat 10000 route GET /many/", vec!["256"]),
        ("repeat 257 listener / event", vec!["256"]),
        ("long 2000 route GET /", vec![]),
        ("long 1000000 route GET /", vec![]),
        ("route GET no-slash", vec!["no-slash"]),
        ("route GET /a/../b", vec!["/a/../b"]),
        ("route GET /a//b", vec!["/a//b"]),
        ("route GET /{open", vec!["/{open"]),
        ("route GET /{*rest}/more", vec!["/{*rest}/more"]),
        ("route GET /{a}/{a}", vec!["/{a}/{a}"]),
        ("route G@T /x", vec!["G@T"]),
        ("route get /lower", vec!["get"]),
        ("route GET /same\nroute GET /same", vec!["/same"]),
        ("route GET /same/{a}\nroute GET /same/{b}", vec!["/same/{"]),
        ("before GET no-slash", vec!["no-slash"]),
        ("listener no-slash event", vec!["no-slash"]),
        ("listener / disconnect", vec!["disconnect"]),
        ("listener /hitchy request", vec!["/hitchy"]),
        ("listener /hitchy/deep x", vec!["/hitchy"]),
        ("listener / twice\nlistener / twice", vec!["twice"]),
        ("connection no-slash", vec!["no-slash"]),
    ] {
        let from = server.log().len();
        server.drop_in(
            "v.wasm",
            scripted(&format!("name new\nroute GET /new\n{script}")),
        );
        let line = server.wait_for_log_from(from, &["v.wasm: "]).await;
        let named = words.iter().all(|word| line.contains(word));
        let refused = line.contains("refused: ") && line.ends_with("; still serving generation 1");
        if !refused || !named || line.len() > 4000 {
            wrong.push(format!("{script}: {line}"));
        }
        if !refused {
            server.drop_in("v.wasm", scripted("name old\nroute GET /old"));
            server.wait_for_status("/old", 200).await;
        }
        assert_eq!(server.get("/old").await.status, 200, "after {script}");
        assert_eq!(server.get("/new").await.status, 404, "after {script}");
    }
    assert!(
        wrong.is_empty(),
        "not refused, or not in words that help:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test]
async fn l02_a_component_cut_anywhere_is_never_served_in_parts() {
    let server = Server::with(
        "v.wasm",
        scripted("name old\nroute GET /version\nlistener / version"),
    )
    .await;
    let whole = scripted("name new\nroute GET /version\nlistener / version");
    for part in 1..40 {
        let cut = whole.len() * part / 40;
        let from = server.log().len();
        server.drop_in("v.wasm", &whole[..cut]);
        let line = server.wait_for_log_from(from, &["v.wasm: "]).await;
        // What only lost a trailing custom section is whole.
        let name = if line.contains("refused") {
            "old"
        } else {
            "new"
        };
        assert_eq!(
            server.get("/version").await.json()["name"],
            name,
            "cut at {cut} of {}: {line}",
            whole.len()
        );
        if name == "new" {
            server.drop_in(
                "v.wasm",
                scripted("name old\nroute GET /version\nlistener / version\n# again"),
            );
            server.wait_for_body("/version", "old").await;
        }
    }
    server.drop_in("v.wasm", whole);
    server.wait_for_body("/version", "new").await;
}

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
        server.drop_in("v.wasm", stamped(&two, "the last"));
        server.wait_for_body("/version", "two").await;
        // Nothing older comes after it: the newest generation is the last one.
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
        before <= 60 && after <= before + 1,
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
    // A call that was sent after another and is answered shows that the other is under way.
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

    // Neither is putting back what is served after something bad.
    let from = server.log().len();
    server.drop_in("api/v.wasm", "no handler");
    refusal(
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
async fn l09_what_is_no_ordinary_file_is_refused_and_never_blocks() {
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(
        outside.path().join("out.wasm"),
        scripted("name out\nroute GET /out"),
    )
    .expect("written");
    let server = Server::prepare().start().await;
    let path = |name: &str| server.handlers(name);
    symlink(outside.path().join("out.wasm"), path("outside.wasm")).expect("linked");
    symlink("/nowhere/at/all.wasm", path("dangling.wasm")).expect("linked");
    symlink(path("loop.wasm"), path("loop.wasm")).expect("linked");
    symlink("/dev/zero", path("zero.wasm")).expect("linked");
    fs::create_dir(path("folder.wasm")).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.wasm")).expect("bound");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("fifo.wasm"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .expect("made");
    let sparse = fs::File::create(path("sparse.wasm")).expect("made");
    sparse.set_len(10 << 30).expect("stretched");

    let start = Instant::now();
    server.drop_in("good.wasm", guest("version_one"));
    server.wait_for_body("/version", "one").await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the next good file loads: {:?}",
        start.elapsed()
    );
    for name in ["outside", "zero", "fifo", "socket", "sparse"] {
        refusal(&server, 0, &format!("{name}.wasm"), &[], "not served").await;
    }
    assert_eq!(server.get("/out").await.status, 404);
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
    refusal(
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
        refusal(
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
    refusal(
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

#[tokio::test]
async fn a_sidecar_grants_and_a_change_of_it_is_a_reload() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("faults.toml", "deadline = \"300ms\"")
        .start()
        .await;
    let start = Instant::now();
    assert_eq!(server.get("/fault/sleep/3000").await.status, 504);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    let from = server.log().len();
    server.drop_in("faults.toml", "deadline = \"9s\"");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded"])
        .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    server.drop_in("faults.toml", "dedline = \"1s\"");
    refusal(
        &server,
        from,
        "faults.wasm",
        &["dedline", "deadline"],
        "still serving generation 2",
    )
    .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    server.remove("faults.toml");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded", "generation 3"])
        .await;
}

#[tokio::test]
async fn a_change_of_the_settings_reloads_whom_it_concerns() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("faults.toml", "deadline = \"5s\"")
        .settings("[handler.faults]\ndeadline = \"300ms\"")
        .start()
        .await;
    assert_eq!(
        server.get("/fault/sleep/3000").await.status,
        504,
        "the settings win over the sidecar"
    );
    let settings = server.dir().join("hitchy.toml");
    let from = server.log().len();
    fs::write(&settings, "[handler.faults]\ndeadline = \"4s\"").expect("written");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded"])
        .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    fs::write(&settings, "[handler.faults]\nnonsense = 1").expect("written");
    server.wait_for_log_from(from, &["nonsense"]).await;
    assert_eq!(
        server.get("/fault/sleep/1000").await.status,
        200,
        "what is wrong changes nothing"
    );
}

#[tokio::test]
async fn required_guards_must_not_vanish() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .start()
        .await;
    expect::error(&server.get("/version").await, 503);
    expect::error(&server.get("/nobody").await, 503);
    server.wait_for_log(&["guard", "required"]).await;
    let script = "name guard\nbefore * /\nguard x-key\nconnection /";
    server.drop_in("guard.wasm", scripted(script));
    expect::failure(&server.wait_for_status("/version", 401).await, 401);
    let answer = server
        .request("GET", "/version", &[("x-key", "k")], b"")
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
    assert_eq!(answer.header("x-passed"), Some("guard:0"));
    let from = server.log().len();
    server.drop_in("guard.wasm", "no handler");
    refusal(
        &server,
        from,
        "guard.wasm",
        &[],
        "still serving generation 1",
    )
    .await;
    assert_eq!(
        server.get("/version").await.status,
        401,
        "the old guard still stands"
    );
    server.remove("guard.wasm");
    expect::error(&server.wait_for_status("/version", 503).await, 503);
}

#[tokio::test]
async fn required_guards_refuse_connections_while_they_are_absent() {
    let Some(node) = hitchy_tests::official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .start()
        .await;
    for namespace in ["/", "/hitchy", "/chat"] {
        let refused = node
            .connect_with(&server, namespace, serde_json::json!({}))
            .await;
        assert!(refused.is_err(), "{namespace} was open without its guard");
    }
    server.drop_in(
        "guard.wasm",
        scripted("name guard\nconnection /\nconnection /chat"),
    );
    let open = async || {
        node.connect_with(&server, "/", serde_json::json!({}))
            .await
            .is_ok()
    };
    until("the guard is there", SOON, open).await;
}
