//! Key-value storage when the disk is full, or the file is not as it was left.

use std::fs;
use std::path::{Path, PathBuf};

use hitchy_tests::disk::SmallDisk;
use hitchy_tests::stored::{over, run, whole};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, storing};
use serde_json::{Value, json};

/// Makes a store with some keys and returns the path of its file.
async fn stored(folder: &Path) -> PathBuf {
    let mut server = over(folder).await;
    run(
        &server,
        json!([["open", ""], ["many", "key", 50], ["set", "k", "kept"]]),
    )
    .await;
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    folder.join("keyvalue.redb")
}

/// Starts a server that has to refuse to start, and returns its sentence.
async fn refused(folder: &Path) -> String {
    let ended = Server::prepare()
        .handler("a.wasm", storing(""))
        .env("HITCHY_KV__PATH", folder.to_str().expect("UTF-8"))
        .fail()
        .await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    let sentence = ended.log.lines().find(|line| line.starts_with("error: "));
    sentence
        .unwrap_or_else(|| panic!("{}", ended.log))
        .to_owned()
}

#[tokio::test]
async fn r05_a_damaged_file_is_told_at_the_start_and_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = stored(folder.path()).await;
    let content = fs::read(&path).expect("the file");
    let mut flipped = content.clone();
    let at = content
        .windows(4)
        .position(|part| part == b"kept")
        .expect("the value");
    flipped[at] ^= 1;
    for damaged in [
        &content[..0],
        &content[..5000],
        &content[..content.len() - 1],
        &flipped,
        b"no store",
    ] {
        fs::write(&path, damaged).expect("written");
        let sentence = refused(folder.path()).await;
        for word in ["keyvalue.redb", "left as it is", "ove"] {
            assert!(sentence.contains(word), "{word}: {sentence}");
        }
        assert!(fs::read(&path).expect("the file") == damaged);
    }
    fs::write(&path, &content).expect("written");
    let server = over(folder.path()).await;
    assert_eq!(
        run(&server, json!([["open", ""], ["get", "k"]])).await[1]["ok"],
        "kept"
    );
}

#[tokio::test]
async fn r05_the_second_server_on_a_folder_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    stored(folder.path()).await;
    let first = over(folder.path()).await;
    let sentence = refused(folder.path()).await;
    assert!(sentence.contains("another process"), "{sentence}");
    assert!(sentence.contains(&first.pid().to_string()), "{sentence}");
    assert_eq!(
        run(&first, json!([["open", ""], ["get", "k"]])).await[1]["ok"],
        "kept"
    );
}

#[tokio::test]
async fn i12_1_a_folder_that_is_not_writable_matters_only_when_something_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    // Below a file nobody can make a folder, not even root.
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "").expect("written");
    let place = blocked.join("data");
    let server = over(&place).await;
    let results = run(
        &server,
        json!([["open", ""], ["get", "k"], ["set", "k", "v"], ["get", "k"]]),
    )
    .await;
    assert_eq!(results[1], json!({ "ok": null }));
    let sentence = results[2]["error"].as_str().expect("an error");
    assert!(
        sentence.contains("data") && sentence.contains("kv.path"),
        "{sentence}"
    );
    fs::remove_file(&blocked).expect("removed");
    until("it works when the folder can be made", SOON, async || {
        run(&server, json!([["open", ""], ["set", "k", "v"]])).await[1] == json!({ "ok": null })
    })
    .await;
}

/// Stores values of half a megabyte, `k0` and so on, until the disk is full. Returns the number of those that were
/// stored.
async fn store_until_full(server: &Server) -> usize {
    let mut stored = 0;
    let sentence = loop {
        assert!(stored < 200, "the disk is never full");
        let result = run(
            server,
            json!([["open", ""], ["set-size", format!("k{stored}"), 500_000]]),
        )
        .await;
        if let Some(error) = result[1]["error"].as_str() {
            break error.to_owned();
        }
        stored += 1;
    };
    assert!(sentence.contains("full"), "{sentence}");
    stored
}

/// Checks that reading goes on when `stored` values were stored and the next one was refused.
async fn check_stored(server: &Server, stored: usize) {
    let results = run(
        server,
        json!([
            ["open", ""],
            ["get", "first"],
            ["exists", format!("k{stored}")]
        ]),
    )
    .await;
    assert_eq!(results[1]["ok"], "1", "reading goes on");
    assert_eq!(
        results[2]["ok"], false,
        "nothing of the refused write is there"
    );
    if stored > 0 {
        let size = run(
            server,
            json!([["open", ""], ["size", format!("k{}", stored - 1)]]),
        )
        .await;
        assert_eq!(size[1]["ok"], 500_000);
    }
}

/// Fills the storage until it refuses, and checks that reading goes on, that space helps, and that all is there
/// afterwards.
async fn fill(plan: hitchy_tests::server::Plan, make_space: impl FnOnce()) -> Server {
    let server = plan
        .handler("a.wasm", storing(""))
        .settings("[kv]\nmin-free = 0\n[limits]\nkv-ops-per-call = 10000")
        .console()
        .start()
        .await;
    run(&server, json!([["open", ""], ["set", "first", "1"]])).await;
    let stored = store_until_full(&server).await;
    check_stored(&server, stored).await;
    let health = server.ask_console("/readyz").await;
    assert_eq!(health.status, 200);
    assert!(
        health.json()["degraded"].to_string().contains("full"),
        "{health:?}"
    );
    make_space();
    until("it works again when there is space", SOON * 2, async || {
        let result = run(
            &server,
            json!([["open", ""], ["set-size", "again", 400_000]]),
        )
        .await;
        result[1] == json!({ "ok": null })
    })
    .await;
    let health = server.ask_console("/readyz").await.json();
    assert!(health["degraded"].is_null(), "{health}");
    server
}

#[tokio::test]
async fn r04_a_full_disk_is_an_error_and_space_helps() {
    let Some(disk) = SmallDisk::mount("size=16m") else {
        // Only root may mount. The tests with a limit of the file's size run in any case.
        #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
        {
            eprintln!("NOT RUN: this process may not mount a disk of 16 MiB");
        }
        return;
    };
    let other = disk.path().join("ballast");
    fs::write(&other, vec![0; 5 << 20]).expect("written");
    let data = disk.path().join("data");
    let plan = Server::prepare().env("HITCHY_KV__PATH", data.to_str().expect("UTF-8"));
    let mut server = fill(plan, || fs::remove_file(&other).expect("removed")).await;
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    let again = over(&data).await;
    let results = run(
        &again,
        json!([["open", ""], ["get", "first"], ["size", "again"]]),
    )
    .await;
    assert_eq!(results[1]["ok"], "1");
    assert_eq!(results[2]["ok"], 400_000);
}

/// The shell's command for files of at most 8 MiB, or 16 where it counts in KiB. The limit may be raised again.
const SMALL_FILES: &str = "ulimit -S -f 16384";

/// Has several clients write until each of them is refused. Returns the names of the values that were acked, and the
/// sentence of a refusal.
async fn write_until_refused(server: &Server) -> (Vec<String>, String) {
    let writers = (0..4).map(async |writer| {
        let mut acked = Vec::new();
        loop {
            assert!(acked.len() < 200, "nothing limits the file");
            let name = format!("{writer}/{}", acked.len());
            let steps = json!([
                ["open", ""],
                ["set", name, whole(acked.len() as u64 * 7 + 1)],
                ["set-size", format!("{name}/size"), 200_000]
            ]);
            let results = run(server, steps).await;
            let errors = [&results[1]["error"], &results[2]["error"]];
            if let Some(error) = errors.into_iter().find_map(Value::as_str) {
                return (acked, error.to_owned());
            }
            acked.push(name);
        }
    });
    let outcomes = futures_util::future::join_all(writers).await;
    let sentence = outcomes[0].1.clone();
    let acked = outcomes.into_iter().flat_map(|(acked, _)| acked);
    (acked.collect(), sentence)
}

/// Checks that all values that were acked are there, and whole.
async fn check_acked(server: &Server, acked: &[String]) {
    for name in acked {
        let (_, number) = name.split_once('/').expect("a number");
        let number: u64 = number.parse().expect("a number");
        let steps = json!([
            ["open", ""],
            ["get", name],
            ["size", format!("{name}/size")]
        ]);
        let results = run(server, steps).await;
        assert_eq!(results[1]["ok"], whole(number * 7 + 1), "{name}");
        assert_eq!(results[2]["ok"], 200_000, "{name}");
    }
}

/// Starts a server whose files are limited by a shell, and checks that storage that cannot grow fails with an error
/// and a line of the log, that reading goes on, and that all that was acked is there after a restart without the limit.
async fn within_a_limit_of_files(shell: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("UTF-8");
    let limited = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[kv]\nmin-free = 0")
        .env("HITCHY_KV__PATH", data)
        .console()
        .after_shell(shell);
    let mut server = limited.start().await;
    let (acked, sentence) = write_until_refused(&server).await;
    assert!(acked.len() > 4, "{acked:?}");
    assert!(sentence.contains("may not grow"), "{sentence}");
    server
        .wait_for_log(&["ERROR", "keyvalue.redb", "may not grow", "ulimit -f"])
        .await;
    check_acked(&server, &acked).await;
    let health = server.ask_console("/readyz").await.json();
    assert!(
        health["degraded"].to_string().contains("may not grow"),
        "{health}"
    );
    server.assert_unharmed();
    server.terminate();
    assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));

    let again = over(folder.path()).await;
    check_acked(&again, &acked).await;
    let steps = json!([
        ["open", ""],
        ["set-size", "again", 1 << 20],
        ["size", "again"]
    ]);
    assert_eq!(run(&again, steps).await[2]["ok"], 1 << 20);
}

#[tokio::test]
async fn r04_a_file_that_may_not_grow_is_an_error_and_what_was_acked_is_kept() {
    within_a_limit_of_files("trap '' XFSZ; ulimit -S -f 16384").await;
}

#[tokio::test]
async fn r04_the_signal_of_a_file_that_may_not_grow_does_not_end_the_server() {
    within_a_limit_of_files(SMALL_FILES).await;
}

#[tokio::test]
async fn r04_writing_goes_on_when_the_limit_of_files_is_raised() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let folder = tempfile::tempdir().expect("a folder");
    let limited = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("[kv]\nmin-free = 0")
        .env("HITCHY_KV__PATH", folder.path().to_str().expect("UTF-8"))
        .after_shell(SMALL_FILES);
    let server = limited.start().await;
    let (acked, _) = write_until_refused(&server).await;
    let pid = Pid::from_raw(server.pid() as i32).expect("an id");
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(Some(pid), Resource::Fsize, unlimited).expect("the limit may be raised");
    until("it works again", SOON * 2, async || {
        let steps = json!([["open", ""], ["set-size", "again", 900_000]]);
        run(&server, steps).await[1] == json!({ "ok": null })
    })
    .await;
    server.wait_for_log(&["works again"]).await;
    check_acked(&server, &acked).await;
}
