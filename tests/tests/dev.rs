//! `hitchy dev` and `hitchy build`, as the person at the terminal sees them: what a save becomes, what is said when it does not
//! build, and what is not built at all.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use hitchy_tests::guests::stamped;
use hitchy_tests::server::Plan;
use hitchy_tests::wait::{eventually, until};
use hitchy_tests::{Server, guest, official_client, sources, target_dir};
use serde_json::json;

/// Cargo may have to wait for its turn, and the machine may be busy.
const BUILT: Duration = Duration::from_secs(300);

/// A handler that answers `GET /NAME` and the event `NAME` with `answer`.
fn source(name: &str, answer: &str) -> String {
    format!(
        "use hitchy_guest::{{App, Result}};\n\
         fn app() -> App {{ App::new().get(\"/{name}\", route).on(\"{name}\", event) }}\n\
         fn route() -> &'static str {{ ANSWER }}\n\
         fn event() -> Result<&'static str> {{ Ok(ANSWER) }}\n\
         const ANSWER: &str = \"{answer}\";\n\
         hitchy_guest::export!(app);\n"
    )
}

fn manifest(name: &str) -> String {
    let sdk = sources()
        .join("../guest-sdk")
        .canonicalize()
        .expect("the SDK is there");
    format!(
        "[package]\nname = \"{name}\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nhitchy-guest = {{ path = {sdk:?} }}\n\
         [workspace]\n\
         [profile.release]\nopt-level = \"s\"\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"\n"
    )
}

/// A folder for `hitchy dev` whose dependencies are those that the fixtures were built with, where they were built.
fn project() -> Plan {
    let target = target_dir().join("fixtures");
    Server::prepare().command("dev").env(
        "CARGO_TARGET_DIR",
        target.to_str().expect("paths are UTF-8"),
    )
}

/// With a handler in Rust in the folder `name`.
fn with_package(plan: Plan, name: &str, answer: &str) -> Plan {
    package(plan.dir(), name, answer);
    plan
}

fn package(dir: &Path, name: &str, answer: &str) {
    let folder = dir.join(name);
    fs::create_dir_all(folder.join("src")).expect("a folder can be made");
    let lock = sources().join("fixtures/Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock")).expect("a file can be copied");
    fs::write(folder.join("src/lib.rs"), source(name, answer)).expect("a file can be written");
    fs::write(folder.join("Cargo.toml"), manifest(name)).expect("a file can be written");
}

/// With a handler that a command copies, and so a save of it is a build that takes no time.
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

/// How often this stood on standard output.
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

/// Saves what takes no time to build, and waits until it is served: whatever was saved before has been looked at by then.
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
    let built = |_, line: &str| line.starts_with("built copy.wasm").then_some(());
    server.out().wait("it is built", 0, BUILT, built).await;
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

    // As many editors save: under another name, then renamed.
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
    let server = with_copy(with_package(project(), "touched", "one"))
        .start()
        .await;
    settle(&server, "after the first build").await;
    assert_eq!(
        said(&server, "building touched"),
        1,
        "its own output is no save"
    );

    save(&server, "touched/src/lib.rs", source("touched", "one"));
    settle(&server, "after a touch").await;
    assert_eq!(said(&server, "building touched"), 1, "a touch is no save");

    save(&server, "touched/src/lib.rs", source("touched", "two"));
    wait_for_body(&server, "/touched", "two").await;
    settle(&server, "after a save").await;
    assert_eq!(said(&server, "building touched"), 2, "one build a save");
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

    // Settings are followed too.
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
    // The first build reads what it builds, says so, and then takes until it is told to go on.
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
async fn the_setup_runs_once_and_before_anything_is_built() {
    let setup = "[dev]\nsetup = { command = \"echo ran >> log; mkdir made\", creates = \"made\" }\n\
                 build = { \"handlers/copy.wasm\" = \"cp made/../prebuilt.wasm $OUT\" }\n";
    let plan = project()
        .command("build")
        .file("hitchy.toml", setup)
        .file("prebuilt.wasm", guest("version_one"));
    for run in ["the first", "the second"] {
        let ended = plan.run().await;
        assert_eq!(ended.code, Some(0), "{run}: {}{}", ended.out, ended.log);
    }
    let log = fs::read_to_string(plan.dir().join("log")).expect("the setup ran");
    assert_eq!(log, "ran\n");
}

#[tokio::test]
async fn a_setup_that_fails_is_one_sentence_and_leaves_nothing_half_made() {
    for (command, words) in [
        (
            "mkdir made && exit 4",
            ["the setup failed", "exit status: 4"],
        ),
        ("true", ["did not create made", "[dev] setup"]),
    ] {
        let plan = with_package(project(), "unset", "one")
            .command("build")
            .file(
                "hitchy.toml",
                format!("[dev]\nsetup = {{ command = {command:?}, creates = \"made\" }}\n"),
            );
        let ended = plan.run().await;
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert_eq!(ended.log.lines().count(), 1, "{}", ended.log);
        for word in words {
            assert!(ended.log.contains(word), "{word}: {}", ended.log);
        }
        assert!(!plan.dir().join("made").exists());
    }
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
async fn what_is_missing_to_build_rust_is_one_sentence() {
    let plan = with_package(project(), "lacking", "one").env("PATH", "/nowhere");
    let plan = plan.env("CARGO", "/nowhere/cargo");
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("https://rustup.rs"), "{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);

    // A toolchain without the target, and a rustup that cannot add it.
    let plan = with_package(project(), "lacking", "one");
    for (name, script) in [
        ("rustc", "#!/bin/sh\necho /nowhere\n"),
        ("rustup", "#!/bin/sh\nexit 1\n"),
    ] {
        let path = plan.dir().join("bin").join(name);
        fs::create_dir_all(plan.dir().join("bin")).expect("a folder can be made");
        fs::write(&path, script).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be run");
    }
    let path = format!(
        "{}:{}",
        plan.dir().join("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let ended = plan.env("PATH", &path).run().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains("run: rustup target add wasm32-wasip2"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn build_makes_what_it_can_and_tells_by_its_exit_code() {
    let settings = |bad: &str| {
        format!(
            "[dev.build]\n\"handlers/bad.wasm\" = {bad:?}\n\"handlers/good.wasm\" = \"cp prebuilt.wasm $OUT\"\n"
        )
    };
    let plan = with_package(project(), "deployed", "one")
        .command("build")
        .file("hitchy.toml", settings("exit 5"))
        .file("prebuilt.wasm", guest("version_one"));
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(
        ended
            .log
            .contains("bad: build failed (exit 5: exit status: 5)"),
        "{}",
        ended.log
    );
    for file in ["good.wasm", "deployed.wasm"] {
        assert!(
            plan.dir().join("handlers").join(file).exists(),
            "{file}: {}",
            ended.log
        );
        assert!(
            ended.out.contains(&format!("built {file} in")),
            "{}",
            ended.out
        );
    }

    fs::write(
        plan.dir().join("hitchy.toml"),
        settings("cp prebuilt.wasm $OUT"),
    )
    .expect("a file can be written");
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.out.contains("KiB, unchanged)"), "{}", ended.out);

    // What nothing makes any more goes, also in a later run; what somebody put there stays.
    fs::write(plan.dir().join("handlers/mine.wasm"), "mine").expect("a file can be written");
    fs::remove_file(plan.dir().join("hitchy.toml")).expect("a file can be removed");
    let ended = plan.run().await;
    assert!(ended.out.contains("removed bad.wasm"), "{}", ended.out);
    let left = eventually("the folder is read", BUILT, async || {
        let entries = fs::read_dir(plan.dir().join("handlers")).ok()?;
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        Some(names)
    });
    assert_eq!(left.await, ["deployed.wasm", "mine.wasm"]);
}

#[tokio::test]
async fn settings_of_dev_that_are_wrong_are_refused() {
    for (settings, words) in [
        ("[dev]\nbiuld = {}\n", ["dev.biuld", "dev.build"]),
        (
            "[dev]\nsetup = { comand = \"x\", creates = \"y\" }\n",
            ["dev.setup.comand", "dev.setup.command"],
        ),
        (
            "[dev]\nbuild = { \"../x.wasm\" = \"make\" }\n",
            ["../x.wasm", "write for example"],
        ),
        ("[dev]\nsetup = \"npm ci\"\n", ["dev.setup", "node_modules"]),
    ] {
        let ended = project()
            .command("build")
            .file("hitchy.toml", settings)
            .run()
            .await;
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        assert_eq!(ended.log.lines().count(), 1, "{}", ended.log);
        for word in words {
            assert!(ended.log.contains(word), "{word}: {}", ended.log);
        }
    }
    let ended = project().env("HITCHY_DEV__SETUP", "npm ci").run().await;
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.log.contains("not read from the environment"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn a_folder_with_nothing_to_build_is_refused() {
    let plan = project().command("build");
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains("no handler to build") && ended.log.contains("cdylib"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn told_to_stop_while_it_builds_it_ends_with_all_that_it_started() {
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
    let signal = rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    );
    signal.expect("it can be signalled");
    let ended = eventually("it ends", BUILT, async || {
        child.try_wait().expect("a child can be waited for")
    });
    assert_eq!(ended.await.code(), Some(0));
    // In a container it may be that nobody buries it.
    let is_gone = async || {
        let state = fs::read_to_string(format!("/proc/{builder}/stat"));
        state.map_or(true, |state| state.contains(") Z "))
    };
    until("what it started has ended", BUILT, is_gone).await;
}
