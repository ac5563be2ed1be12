//! Compiled code on disk: a file is compiled once, for all servers and commands of a user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hitchy_tests::code_cache::{entries, files, has_entries, with_cache};
use hitchy_tests::commands::{err, folder, hitchy, json_of, program};
use hitchy_tests::components::describing;
use hitchy_tests::guest;
use hitchy_tests::guests::{core_guest, stamped};
use hitchy_tests::processes::has_had_children;
use hitchy_tests::server::binary;
use hitchy_tests::wait::{SOON, until};

#[tokio::test]
async fn i13_2_a_file_is_compiled_once_for_all_servers_and_commands() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let probe = guest("probe");
    let server = with_cache(&dir).handler("probe.wasm", &probe).start().await;
    server.wait_for_log(&["probe.wasm", "compiled in"]).await;
    assert!(has_had_children(server.pid()));
    has_entries(&dir, 1).await;
    // Another server, at the same time.
    let plan = with_cache(&dir).handler("probe.wasm", &probe).console();
    let second = plan.start().await;
    second
        .wait_for_log(&["probe.wasm", "cached, loaded in"])
        .await;
    assert_eq!(second.get("/slow/1").await.status, 200);
    assert!(!has_had_children(second.pid()), "nothing was compiled");
    let shown = second.ask_console("/api/handlers").await.json();
    assert_eq!(shown["handlers"][0]["code"], "cached", "{shown}");
    // The other commands.
    let inspected = program(std::process::Command::new(binary()), temporary.path())
        .args(["inspect", "--output", "json"])
        .arg(server.handlers("probe.wasm"))
        .env("HITCHY_CACHE__DIR", &dir)
        .output();
    let report = json_of(&inspected.expect("hitchy starts"));
    assert_eq!(report["code"], "cached", "{report}");
    // A changed file.
    second.drop_in("probe.wasm", stamped(&probe, "changed"));
    second.wait_for_log(&["reloaded", "compiled in"]).await;
    has_entries(&dir, 2).await;
    second.drop_in("probe.wasm", &probe);
    second
        .wait_for_log(&["reloaded", "cached, loaded in"])
        .await;
}

#[tokio::test]
async fn i13_2_an_adapted_module_needs_no_process_when_it_is_cached() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let module = core_guest("probe");
    for is_cached in [false, true] {
        let mut server = with_cache(&dir)
            .handler("probe.wasm", &module)
            .start()
            .await;
        assert_eq!(server.get("/slow/1").await.status, 200);
        assert_eq!(has_had_children(server.pid()), !is_cached);
        has_entries(&dir, 1).await;
        server.terminate();
        assert_eq!(server.wait_for_end(SOON).await.code(), Some(0));
    }
}

#[tokio::test]
async fn i13_2_what_a_command_compiles_is_there_when_it_has_ended() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    fs::write(temporary.path().join("a.wasm"), describing("")).expect("written");
    for command in [
        ["routes", "--handlers", "."].as_slice(),
        &["inspect", "a.wasm"],
    ] {
        let output = program(std::process::Command::new(binary()), temporary.path())
            .args(command)
            .env("HITCHY_CACHE__DIR", "cache")
            .output();
        assert!(output.expect("hitchy starts").status.success());
        assert_eq!(entries(&dir).len(), 1, "{command:?}");
        fs::remove_dir_all(&dir).expect("removed");
    }
    // By default nothing of the tests is in the user's cache.
    hitchy(temporary.path(), &["inspect", "a.wasm"]);
    assert!(!dir.exists());
}

#[tokio::test]
async fn i13_2_the_folder_is_the_one_of_the_platform_unless_it_is_set() {
    let temporary = folder();
    let home = temporary.path().to_str().expect("UTF-8");
    let file = temporary.path().join("a.wasm");
    fs::write(&file, describing("")).expect("written");
    let run = |variables: &[(&str, &str)]| {
        let mut command = program(std::process::Command::new(binary()), temporary.path());
        command.args(["inspect", "a.wasm"]);
        for name in ["HITCHY_CACHE__DIR", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output();
        assert!(output.expect("hitchy starts").status.success());
    };
    run(&[]);
    run(&[("HOME", "relative")]);
    assert_eq!(fs::read_dir(home).expect("a folder").count(), 1);
    run(&[("HOME", home)]);
    assert_eq!(entries(&temporary.path().join(".cache/hitchy")).len(), 1);
    let caches = temporary.path().join("xdg");
    run(&[
        ("HOME", home),
        ("XDG_CACHE_HOME", caches.to_str().expect("UTF-8")),
    ]);
    assert_eq!(entries(&caches.join("hitchy")).len(), 1);
}

#[tokio::test]
async fn i13_2_functions_of_the_version_before_serve_the_next_one_and_damaged_ones_do_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    let server = with_cache(&cache)
        .handler("v.wasm", guest("version_one"))
        .console()
        .start()
        .await;
    let functions = || files(&cache, ".functions");
    let has_functions = async |before: &[u8]| {
        until("the functions are kept", SOON, async || {
            let kept = functions().pop().and_then(|path| fs::read(path).ok());
            kept.is_some_and(|kept| kept != before)
        })
        .await;
        fs::read(&functions()[0]).expect("an entry")
    };
    let first = has_functions(&[]).await;
    server.drop_in("v.wasm", guest("version_two"));
    until("the new version answers", SOON, async || {
        server.get("/version").await.text() == "two"
    })
    .await;
    let second = has_functions(&first).await;
    assert_eq!(functions().len(), 1, "one entry for each handler");

    let mut damaged = second.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    fs::write(&functions()[0], damaged).expect("it is written");
    let from = server.log().len();
    server.drop_in("v.wasm", stamped(&guest("version_one"), "again"));
    server.wait_for_log_from(from, &["v.wasm: reloaded"]).await;
    assert_eq!(server.get("/version").await.text(), "one");
    let bad = "hitchy_code_cache_total{result=\"bad\"}";
    assert_eq!(server.metrics().await.value(bad), 1.0);
}

#[tokio::test]
async fn i13_2_commands_say_once_that_the_cache_cannot_be_used() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    fs::create_dir(&dir).expect("made");
    for name in ["a", "b"] {
        let file = temporary.path().join(format!("{name}.wasm"));
        fs::write(file, describing(&"nop ".repeat(name.len()))).expect("written");
    }
    for mode in [0o775, 0o777] {
        fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("set");
        for command in [
            ["routes", "--handlers", "."].as_slice(),
            &["inspect", "a.wasm"],
        ] {
            let output = program(std::process::Command::new(binary()), temporary.path())
                .args(command)
                .env("HITCHY_CACHE__DIR", "cache")
                .output()
                .expect("hitchy starts");
            let said = err(&output);
            let warnings = said.lines().filter(|line| line.contains("is not kept"));
            let warnings: Vec<_> = warnings.collect();
            assert_eq!(warnings.len(), 1, "{said}");
            let words = [format!("{mode:o}"), "chmod 700".to_owned()];
            assert!(
                words.iter().all(|word| warnings[0].contains(word)),
                "{said}"
            );
            assert_eq!(output.status.code(), Some(0), "{said}");
        }
    }
}

#[tokio::test]
async fn i13_2_the_cache_keeps_within_its_bound() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let probe = guest("probe");
    let sum = || -> u64 {
        let sizes = files(&dir, "").into_iter().map(fs::metadata);
        sizes.filter_map(|stat| Some(stat.ok()?.len())).sum()
    };
    let server = with_cache(&dir).handler("probe.wasm", &probe).start().await;
    has_entries(&dir, 1).await;
    drop(server);
    let entry = fs::metadata(&entries(&dir)[0]).expect("an entry").len();
    // Room for two, and at least the smallest bound that may be set.
    let bound = (entry * 5 / 2).max(1 << 20) >> 10;
    let max = (bound << 10) / entry;
    let server = with_cache(&dir)
        .env("HITCHY_CACHE__MAX_BYTES", &format!("{bound}KiB"))
        .handler("probe.wasm", &probe)
        .console()
        .start()
        .await;
    for round in 0..max + 3 {
        server.drop_in("probe.wasm", stamped(&probe, &format!("{round}")));
        let generation = format!("generation {}", round + 2);
        server
            .wait_for_log(&["reloaded", &generation, "compiled in"])
            .await;
    }
    let name = "hitchy_code_cache_bytes";
    until("everything is stored", SOON, async || {
        let stored = server.metrics().await.value(name);
        let is_written = files(&dir, "").iter().all(|path| {
            let name = path.file_name().expect("files have names");
            !name.to_string_lossy().starts_with(".new-")
        });
        is_written && (1.0..=(bound << 10) as f64).contains(&stored)
    })
    .await;
    // The key is beside what counts.
    assert!(sum() <= (bound << 10) + 32, "{} of {bound} KiB", sum());
    assert_eq!(
        server
            .log()
            .all()
            .iter()
            .filter(|line| line.contains("is not kept"))
            .count(),
        0
    );
    // The first version has made room.
    server.drop_in("probe.wasm", &probe);
    let generation = format!("generation {}", max + 5);
    server
        .wait_for_log(&["reloaded", &generation, "compiled in"])
        .await;
}
