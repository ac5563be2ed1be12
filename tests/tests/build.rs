//! The command `hitchy build`, and the parts that it shares with `hitchy dev`: setup, missing tools, and wrong
//! settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hitchy_tests::guest;
use hitchy_tests::project::{BUILT, project, with_package};
use hitchy_tests::wait::{eventually, until};

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
async fn a_setup_that_is_interrupted_leaves_nothing_half_made() {
    let command = "mkdir made; for i in 1 2 3 4; do while :; do : > made/$i; : > made/x$i; rm made/x$i; done & done; wait";
    let plan = project().command("build").file(
        "hitchy.toml",
        format!("[dev]\nsetup = {{ command = {command:?}, creates = \"made\" }}\n"),
    );
    let mut child = plan.spawn();
    until("the setup has begun", BUILT, async || {
        plan.dir().join("made/4").exists()
    })
    .await;
    let signal = rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    );
    signal.expect("it can be signalled");
    let ended = eventually("it ends", BUILT, async || {
        child.try_wait().expect("a child can be waited for")
    });
    assert_eq!(ended.await.code(), Some(1));
    let entries = fs::read_dir(plan.dir()).expect("the folder can be read");
    let left: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("made"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_missing_to_build_rust_is_one_sentence() {
    let plan = with_package(project(), "lacking", "one").env("PATH", "/nowhere");
    let plan = plan.env("CARGO", "/nowhere/cargo");
    let ended = plan.run().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.log.contains("https://rustup.rs"), "{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);

    // The toolchain lacks the target, and rustup cannot add it.
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

    // A file whose source is deleted is removed, also in a later run. A file that a person put there stays.
    fs::write(plan.dir().join("handlers/mine.wasm"), "mine").expect("a file can be written");
    fs::remove_file(plan.dir().join("hitchy.toml")).expect("a file can be removed");
    let ended = plan.run().await;
    assert!(ended.out.contains("removed bad.wasm"), "{}", ended.out);
    let entries = fs::read_dir(plan.dir().join("handlers")).expect("the folder can be read");
    let mut left: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    left.sort();
    assert_eq!(left, ["deployed.wasm", "mine.wasm"]);
}

#[tokio::test]
async fn a_command_that_writes_the_file_itself_is_told_whether_that_was_new() {
    let settings =
        "[dev]\nbuild = { \"handlers/copy.wasm\" = \"cp prebuilt.wasm handlers/copy.wasm\" }\n";
    let plan = project()
        .command("build")
        .file("hitchy.toml", settings)
        .file("prebuilt.wasm", guest("version_one"));
    for (run, is_new) in [("the first", true), ("the second", false)] {
        let ended = plan.run().await;
        assert_eq!(ended.code, Some(0), "{run}: {}", ended.log);
        assert!(
            ended.out.contains("built copy.wasm"),
            "{run}: {}",
            ended.out
        );
        let is_told_new = !ended.out.contains("unchanged");
        assert_eq!(is_told_new, is_new, "{run}: {}", ended.out);
    }
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
async fn what_a_command_makes_has_to_be_a_file_with_something_in_it() {
    for (command, word) in [
        (": > $OUT", "an empty file"),
        ("mkfifo $OUT", "something else than a file"),
        ("ln -s /dev/zero $OUT", "something else than a file"),
    ] {
        let plan = project()
            .command("build")
            .file("handlers/x.wasm", "what was there")
            .file(
                "hitchy.toml",
                format!("[dev.build]\n\"handlers/x.wasm\" = {command:?}\n"),
            );
        let ended = plan.run().await;
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert!(ended.log.contains(word), "{}", ended.log);
        let there = fs::read(plan.dir().join("handlers/x.wasm")).expect("it is still there");
        assert_eq!(there, b"what was there");
    }
}
