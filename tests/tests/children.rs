//! Processes that a command starts: they end with the command, also when it is killed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hitchy_tests::components::slow_to_compile;
use hitchy_tests::http::{Connection, request};
use hitchy_tests::processes::{children, command_line, is_running, niceness};
use hitchy_tests::server::binary;
use hitchy_tests::wait::{SOON, eventually, until};
use hitchy_tests::{Server, guest};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Mutex;

/// Held by each test. Compiling has a low priority, and on a busy machine several slow compiles would keep the handlers
/// of the other tests from being compiled.
static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until a process compiles for `parent`, and returns its id.
async fn compiling(parent: u32) -> u32 {
    // The process lowers its priority when it has read the component.
    let compiles =
        |id: &u32| command_line(*id).contains("compile-component") && niceness(*id) == Some(10);
    let look = async || children(parent).into_iter().find(compiles);
    eventually("a process compiles", SOON * 6, look).await
}

/// Waits until a process has ended, much earlier than it would by itself.
async fn has_ended(id: u32) {
    let ended = async || !is_running(id);
    until("the process ends with its parent", SOON, ended).await;
}

fn send(signal: Signal, id: u32) {
    let pid = Pid::from_raw(id.cast_signed()).expect("a process id is not 0");
    kill_process(pid, signal).expect("the process can be signalled");
}

/// Starts a server and a call that lasts longer than the test.
async fn with_a_call_under_way() -> (Server, Connection) {
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[server]\ngrace = \"5m\"\n[limits]\ndeadline = \"1m\"")
        .start()
        .await;
    let mut busy = Connection::open(server.addr()).await;
    let sent = busy.send(request("GET", "/slow/300000", &[], b"")).await;
    sent.expect("sent");
    // The answer to this later call shows that the slow call is under way.
    assert_eq!(server.get("/slow/20").await.status, 200);
    (server, busy)
}

#[tokio::test]
async fn i11_31_a_compile_ends_when_the_server_is_told_to_stop_and_not_with_its_last_call() {
    let _turn = TURN.lock().await;
    let (mut server, busy) = with_a_call_under_way().await;
    server.drop_in("slow.wasm", slow_to_compile());
    let compiler = compiling(server.pid()).await;
    server.terminate();
    has_ended(compiler).await;
    assert!(is_running(server.pid()), "its call is cut off");
    drop(busy);
    assert_eq!(server.wait_for_end(SOON * 2).await.code(), Some(0));
    let blamed = |_, line: &str| line.contains("slow.wasm").then(|| line.to_owned());
    assert_eq!(
        server.log().find(0, blamed),
        None,
        "the file is not at fault"
    );
}

#[tokio::test]
async fn i11_31_a_compile_ends_with_a_server_that_is_told_to_stop_before_it_is_ready() {
    let _turn = TURN.lock().await;
    let plan = Server::prepare().handler("slow.wasm", slow_to_compile());
    let mut server = plan.start_at_once().await;
    let compiler = compiling(server.pid()).await;
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    assert!(!is_running(compiler), "it outlives the server");
}

#[tokio::test]
async fn i11_31_a_compile_ends_with_a_server_that_is_told_to_stop_twice() {
    let _turn = TURN.lock().await;
    let (mut server, _busy) = with_a_call_under_way().await;
    server.drop_in("slow.wasm", slow_to_compile());
    let compiler = compiling(server.pid()).await;
    server.terminate();
    let stops = |_, line: &str| line.contains("shutting down").then_some(());
    server.out().wait("it shuts down", 0, SOON, stops).await;
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(1));
    has_ended(compiler).await;
}

#[tokio::test]
async fn i11_31_a_compile_ends_with_a_server_that_is_killed() {
    let _turn = TURN.lock().await;
    let plan = Server::prepare().handler("slow.wasm", slow_to_compile());
    let mut server = plan.start_at_once().await;
    let compiler = compiling(server.pid()).await;
    send(Signal::KILL, server.pid());
    server.wait_for_end(SOON).await;
    has_ended(compiler).await;
}

#[tokio::test]
async fn i11_31_a_compile_ends_with_every_other_command_that_is_killed_or_told_to_stop() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("slow.wasm");
    fs::write(&file, slow_to_compile()).expect("a file can be written");
    for (command, signal) in [
        (["inspect", "slow.wasm"].as_slice(), Signal::KILL),
        (&["inspect", "slow.wasm"], Signal::INT),
        (&["routes", "--handlers", "."], Signal::KILL),
        (&["routes", "--handlers", "."], Signal::TERM),
    ] {
        let mut process = start(command, folder.path());
        let compiler = compiling(process.id()).await;
        send(signal, process.id());
        process.wait().expect("a child can be waited for");
        has_ended(compiler).await;
    }
}

#[tokio::test]
async fn i11_31_a_build_ends_with_the_command_that_is_killed_and_so_does_what_it_started() {
    let _turn = TURN.lock().await;
    for command in ["build", "dev"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The shell waits for a process of its own, as cargo does for the compiler.
        let recipe = "sleep 1000 & echo $! > started; echo $$ > pid; wait";
        let settings = format!("[dev]\nbuild = {{ \"handlers/a.wasm\" = {recipe:?} }}\n");
        fs::write(folder.path().join("hitchy.toml"), settings).expect("a file can be written");
        let flags: &[&str] = match command {
            "dev" => &["dev", "--listen", "127.0.0.1:0"],
            _ => &["build"],
        };
        let mut process = start(flags, folder.path());
        let shell = written_id(&folder.path().join("pid")).await;
        let started = written_id(&folder.path().join("started")).await;
        send(Signal::KILL, process.id());
        process.wait().expect("a child can be waited for");
        has_ended(shell).await;
        has_ended(started).await;
    }
}

#[tokio::test]
async fn i11_31_what_a_recipe_leaves_running_outlives_its_build_and_not_the_command() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = "sleep 1000 >/dev/null 2>&1 & echo $! > pid; echo x > \"$OUT\"";
    let settings = format!("[dev]\nbuild = {{ \"handlers/a.wasm\" = {recipe:?} }}\n");
    fs::write(folder.path().join("hitchy.toml"), settings).expect("a file can be written");
    let mut process = start(&["build"], folder.path());
    let left = written_id(&folder.path().join("pid")).await;
    let status = process.wait().expect("a child can be waited for");
    assert!(status.success(), "{status}");
    assert!(
        is_running(left),
        "a program that a build starts on purpose, such as a cache"
    );
    send(Signal::KILL, left);
}

/// Starts `hitchy` in a folder, without its output.
fn start(flags: &[&str], folder: &Path) -> std::process::Child {
    let spawned = Command::new(binary())
        .args(flags)
        .current_dir(folder)
        .env("HITCHY_ADMIN__LISTEN", "off")
        .env("HITCHY_CACHE__DIR", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    spawned.expect("the command starts")
}

/// Waits until a file holds the id of a process, and returns it.
async fn written_id(path: &Path) -> u32 {
    let look = async || fs::read_to_string(path).ok()?.trim().parse().ok();
    eventually("the id of a process is written", SOON, look).await
}
