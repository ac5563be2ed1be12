//! Files in the handlers folder that cannot be served: each is refused with a helpful sentence.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use hitchy_tests::components::{self, ELF, JPEG};
use hitchy_tests::{Server, expect, guest, scripted};

/// Returns files that are not handlers, with words that name the cause.
fn no_handlers() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    // The header of code that wasmtime compiled ahead of time: an ELF file with its own mark.
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
            &["command", "serve = \"cgi\""],
        ),
        (
            "command",
            components::command(),
            &["command", "serve = \"cgi\""],
        ),
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
        expect::refused(&server, 0, &format!("{name}.wasm"), words, "not served").await;
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
        let line =
            expect::refused(&server, from, "v.wasm", words, "still serving generation 1").await;
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
        ("sleeps", scripted("route GET /version\nsleep 60000")),
    ] {
        let from = server.log().len();
        let start = Instant::now();
        server.drop_in("v.wasm", bytes);
        let line =
            expect::refused(&server, from, "v.wasm", &[], "still serving generation 1").await;
        assert!(
            start.elapsed() < Duration::from_secs(30),
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
    // The log is written by a thread of its own, so that the line may come after the first answer.
    server.wait_for_log(&["v.wasm: loaded"]).await;
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
        // A file that lost only a trailing custom section is still complete.
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
        expect::refused(&server, 0, &format!("{name}.wasm"), &[], "not served").await;
    }
    assert_eq!(server.get("/out").await.status, 404);
}

#[tokio::test]
async fn i11_22_what_a_toolchain_imports_by_default_is_refused_with_the_remedy() {
    let server = Server::prepare().start().await;
    for (import, language, words) in [
        (
            "wasi:http/types@0.3.0",
            "JavaScript",
            vec!["--disable http fetch-event", "WASI 0.2"],
        ),
        (
            "wasi:http/incoming-handler@0.2.0",
            "Rust",
            vec!["types and outgoing-handler"],
        ),
        (
            "wasi:keyvalue/store@0.1.0",
            "Rust",
            vec!["0.2.0-draft2", "store, atomics and batch"],
        ),
        ("wasi:config/store@0.2.0-draft", "Rust", vec!["0.2.0-rc.1"]),
        ("wasi:logging/logging", "Rust", vec!["standard error"]),
        (
            "wasi:clocks/wall-clock@0.3.0",
            "Rust",
            vec!["WASI 0.2", "wasm32-wasip2"],
        ),
        ("wasi:random/random@0.1.0", "Python", vec!["--stub-wasi"]),
        (
            "nobody:home/thing@1.2.3",
            "Rust",
            vec!["nobody:home/thing@1.2.3", "build it without"],
        ),
    ] {
        let from = server.log().len();
        server.drop_in("v.wasm", components::importing_in(import, language));
        let line = server.wait_for_log_from(from, &["v.wasm", "refused"]).await;
        for word in words {
            assert!(
                line.contains(word),
                "{import} of {language}: {word}: {line}"
            );
        }
    }
}
