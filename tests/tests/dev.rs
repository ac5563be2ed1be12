//! The command `hitchy dev`, as a person at the terminal sees it: the result of a save, the messages for a failed
//! build, and files that are not built.

use std::fs;
use std::net::TcpListener;

use hitchy_tests::guests::stamped;
use hitchy_tests::project::{BUILT, package, project, source, with_package};
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{eventually, until};
use hitchy_tests::{Server, guest, official_client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Adds a handler that a command copies, so that each build is immediate.
fn with_copy(plan: Plan) -> Plan {
    plan.file(
        "hitchy.toml",
        "[dev]\nbuild = { \"handlers/copy.wasm\" = \"cp prebuilt.wasm $OUT\" }\n",
    )
    .file("prebuilt.wasm", guest("version_one"))
}

fn save(server: &Server, path: &str, text: impl AsRef<[u8]>) {
    fs::write(server.dir().join(path), text).expect("a file can be written");
}

/// Returns the number of times that this line was printed on standard output.
fn said(server: &Server, line: &str) -> usize {
    server
        .out()
        .all()
        .iter()
        .filter(|said| *said == line)
        .count()
}

async fn wait_for_log(server: &Server, words: &[&str]) -> String {
    let has_all = |_, line: &str| {
        let has = words.iter().all(|word| line.contains(word));
        has.then(|| line.to_owned())
    };
    let what = format!("a log line with {words:?}");
    server.log().wait(&what, 0, BUILT, has_all).await
}

async fn wait_for_body(server: &Server, target: &str, text: &str) {
    let what = format!("GET {target} answers {text}");
    let answers = async || {
        let answer = server.get(target).await;
        answer.status == 200 && answer.text() == text
    };
    until(&what, BUILT, answers).await;
}

/// Saves the file of a build that is immediate, and waits for that build. Files that were saved before and whose names
/// come first are built before it.
async fn settle(server: &Server, mark: &str) {
    let before = said(server, "building copy");
    save(
        server,
        "prebuilt.wasm",
        stamped(&guest("version_one"), mark),
    );
    until("the copy is built", BUILT, async || {
        said(server, "building copy") > before
    })
    .await;
}

#[tokio::test]
async fn a_save_becomes_new_behaviour_and_nobody_is_disconnected() {
    let server = with_copy(with_package(project(), "saved", "one"))
        .start()
        .await;
    let node = official_client().await;
    let socket = match &node {
        Some(node) => Some(node.connect(&server, "/").await),
        None => None,
    };
    wait_for_body(&server, "/saved", "one").await;

    save(&server, "saved/src/lib.rs", source("saved", "two"));
    wait_for_body(&server, "/saved", "two").await;
    let words = [
        "saved.wasm: reloaded (saved/src/lib.rs changed), generation 2",
        "built in",
        "compiled in",
        "GET /saved",
    ];
    wait_for_log(&server, &words).await;

    // Many editors save in this way: they write another file and rename it.
    save(&server, "saved/src/lib.rs.tmp", source("saved", "three"));
    let renamed = |name: &str| server.dir().join("saved/src").join(name);
    fs::rename(renamed("lib.rs.tmp"), renamed("lib.rs")).expect("a file can be renamed");
    wait_for_body(&server, "/saved", "three").await;

    if let Some(socket) = socket {
        assert_eq!(socket.ask("saved", json!([])).await, json!(["three"]));
        let ends = socket
            .happened()
            .into_iter()
            .filter(|it| it.what["what"] == "disconnect");
        assert_eq!(ends.count(), 0, "nobody was disconnected");
    }
    assert_eq!(said(&server, "building saved"), 3, "one build a save");
}

#[tokio::test]
async fn neither_its_own_output_nor_a_touch_is_built() {
    let server = with_copy(with_package(project(), "again", "one"))
        .start()
        .await;
    settle(&server, "after the first build").await;
    assert_eq!(
        said(&server, "building again"),
        1,
        "its own output is no save"
    );

    save(&server, "again/src/lib.rs", source("again", "one"));
    settle(&server, "after a touch").await;
    assert_eq!(said(&server, "building again"), 1, "a touch is no save");

    save(&server, "again/src/lib.rs", source("again", "two"));
    wait_for_body(&server, "/again", "two").await;
    settle(&server, "after a save").await;
    assert_eq!(said(&server, "building again"), 2, "one build a save");
}

#[tokio::test]
async fn an_error_is_shown_as_the_compiler_prints_it_and_the_old_code_serves() {
    let server = with_package(project(), "erring", "one").start().await;
    save(&server, "erring/src/lib.rs", "fn app() -> NoSuchType {}\n");
    wait_for_log(
        &server,
        &["erring: build failed; still serving generation 1"],
    )
    .await;
    for words in [
        &["error[E", "cannot find type `NoSuchType`"][..],
        &["-->", "src/lib.rs:1:13"],
    ] {
        wait_for_log(&server, words).await;
    }
    wait_for_body(&server, "/erring", "one").await;
    let coloured = server.log().find(0, |_, line| {
        line.contains('\u{1b}').then(|| line.to_owned())
    });
    assert_eq!(coloured, None, "no colours where there is no terminal");

    save(&server, "erring/src/lib.rs", source("erring", "two"));
    wait_for_body(&server, "/erring", "two").await;
}

#[tokio::test]
async fn a_handler_that_does_not_build_at_the_start_waits_and_the_others_serve() {
    let server = with_copy(with_package(project(), "broken", "\" nonsense"))
        .start()
        .await;
    assert_eq!(server.get("/version").await.text(), "one");
    wait_for_log(&server, &["broken: build failed"]).await;
    save(&server, "broken/src/lib.rs", source("broken", "mended"));
    wait_for_body(&server, "/broken", "mended").await;
}

#[tokio::test]
async fn handlers_come_and_go_while_it_runs() {
    let plan = with_copy(project()).handler("mine.wasm", guest("version_two"));
    fs::write(plan.dir().join("handlers/mine.toml"), "").expect("a file can be written");
    let server = plan.start().await;
    package(server.dir(), "newcomer", "hello");
    wait_for_body(&server, "/newcomer", "hello").await;

    fs::remove_dir_all(server.dir().join("newcomer")).expect("a folder can be removed");
    server.wait_for_log(&["newcomer.wasm: removed"]).await;
    assert!(!server.handlers("newcomer.wasm").exists());
    assert_eq!(server.get("/newcomer").await.status, 404);
    assert!(
        server.handlers("mine.wasm").exists(),
        "what nobody built stays"
    );
    assert!(
        server.handlers("copy.wasm").exists(),
        "what is still built stays"
    );
}

#[tokio::test]
async fn a_command_builds_what_is_not_cargos_and_its_failure_is_told() {
    let server = with_copy(project()).start().await;
    assert_eq!(server.get("/version").await.text(), "one");

    // Changes of the settings are noticed too.
    let settings =
        |command: &str| format!("[dev]\nbuild = {{ \"handlers/copy.wasm\" = {command:?} }}\n");
    save(
        &server,
        "hitchy.toml",
        settings("echo no such thing >&2; exit 3"),
    );
    let words = [
        "copy: build failed",
        "exit status: 3",
        "still serving generation 1",
    ];
    wait_for_log(&server, &words).await;
    wait_for_log(&server, &["no such thing"]).await;
    assert_eq!(server.get("/version").await.text(), "one");

    save(&server, "other.wasm", guest("version_two"));
    save(
        &server,
        "hitchy.toml",
        settings("cp other.wasm handlers/copy.wasm"),
    );
    wait_for_body(&server, "/version", "two").await;
}

#[tokio::test]
async fn a_save_while_something_is_built_is_built_afterwards() {
    // The first build reads its source, creates `begun`, and waits until the test creates `go`.
    let command =
        "cp prebuilt.wasm half; : > begun; while [ ! -e go ]; do sleep 0.05; done; cp half $OUT";
    let plan = project()
        .file(
            "hitchy.toml",
            format!("[dev]\nbuild = {{ \"handlers/copy.wasm\" = {command:?} }}\n"),
        )
        .file(".gitignore", "half\nbegun\n")
        .file("prebuilt.wasm", guest("version_one"));
    let dir = plan.dir().to_owned();
    let meanwhile = async {
        until("the build has begun", BUILT, async || {
            dir.join("begun").exists()
        })
        .await;
        fs::write(dir.join("prebuilt.wasm"), guest("version_two")).expect("a file can be written");
        fs::write(dir.join("go"), "").expect("a file can be written");
    };
    let (server, ()) = tokio::join!(plan.start(), meanwhile);
    wait_for_body(&server, "/version", "two").await;
}

#[tokio::test]
async fn a_file_that_every_build_writes_anew_is_named_and_builds_nothing_more() {
    let command = "echo built >> stamp.txt; cp prebuilt.wasm $OUT";
    let plan = with_copy(project()).file(
        "hitchy.toml",
        format!("[dev]\nbuild = {{ \"handlers/copy.wasm\" = {command:?} }}\n"),
    );
    let server = plan.start().await;
    let words = ["stamp.txt", ".gitignore"];
    wait_for_log(&server, &words).await;

    // A save causes exactly one build.
    let before = said(&server, "building copy");
    for (guest, body) in [(guest("version_two"), "two"), (guest("version_one"), "one")] {
        save(&server, "prebuilt.wasm", guest);
        wait_for_body(&server, "/version", body).await;
    }
    assert_eq!(
        said(&server, "building copy"),
        before + 2,
        "one build a save"
    );
    let warnings = server.log().all();
    let warnings = warnings.iter().filter(|line| line.contains(words[1]));
    assert_eq!(warnings.count(), 1, "it is told once");
}

#[tokio::test]
async fn a_port_in_use_is_told_before_anything_is_built() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it listens").to_string();
    let plan = project().flag("--listen").flag(&address).file(
        "hitchy.toml",
        "[dev]\nbuild = { \"handlers/a.wasm\" = \": > begun\" }\n",
    );
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains(&address) && ended.log.contains("--listen"),
        "{}",
        ended.log
    );
    assert!(!plan.dir().join("begun").exists(), "nothing was built");
}

#[tokio::test]
async fn told_to_stop_while_it_builds_it_ends_with_all_that_it_started() {
    ends_with_all_that_it_started(Signal::TERM).await;
    // Under nohup, the process must ignore SIGHUP.
    if !ignores_hangup() {
        ends_with_all_that_it_started(Signal::HUP).await;
    }
}

fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 == 1)
}

async fn ends_with_all_that_it_started(signal: Signal) {
    let command = "echo $$ > pid; sleep 1000";
    let plan = project().file(
        "hitchy.toml",
        format!("[dev]\nbuild = {{ \"handlers/a.wasm\" = {command:?} }}\n"),
    );
    let pid = plan.dir().join("pid");
    let mut child = plan.spawn();
    let builder: i32 = eventually("the build has begun", BUILT, async || {
        fs::read_to_string(&pid).ok()?.trim().parse().ok()
    })
    .await;
    kill_process(Pid::from_child(&child), signal).expect("it can be signalled");
    let ended = eventually("it ends", BUILT, async || {
        child.try_wait().expect("a child can be waited for")
    });
    assert_eq!(ended.await.code(), Some(0));
    // In a container, there may be no process that reaps the builder, so a zombie counts as ended.
    let is_gone = async || {
        let state = fs::read_to_string(format!("/proc/{builder}/stat"));
        state.map_or(true, |state| state.contains(") Z "))
    };
    until("what it started has ended", BUILT, is_gone).await;
}
