//! Compiled code on disk: a file is compiled once, and whatever is wrong with the cache costs a compilation and nothing
//! else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Extensions;
use bytes::Bytes;
use hitchy::config::Config;
use hitchy::emitter::Emitter;
use hitchy::runtime::{
    CacheSettings, Candidate, CodeOrigin, Compiler, ContentHash, Handler, MessageSizes, Runtime,
    RuntimeSettings,
};
use hitchy_tests::commands::{err, folder, hitchy, json_of, program};
use hitchy_tests::components::describing;
use hitchy_tests::disk::SmallDisk;
use hitchy_tests::guests::{core_guest, stamped};
use hitchy_tests::processes::has_had_children;
use hitchy_tests::server::{Plan, Signal, binary};
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, guest};

/// Returns the entries of a cache.
fn entries(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".code")
}

fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = listed.map(|entry| entry.expect("a readable entry").path());
    let is_one = |path: &PathBuf| path.to_string_lossy().ends_with(end);
    paths.filter(is_one).collect()
}

async fn has_entries(dir: &Path, count: usize) {
    let what = format!("the cache has {count} entries");
    until(&what, SOON, async || entries(dir).len() == count).await;
}

/// Plans a server whose cache is this folder.
fn with_cache(dir: &Path) -> Plan {
    Server::prepare().env("HITCHY_CACHE__DIR", dir.to_str().expect("UTF-8"))
}

/// Returns a runtime that compiles in this process and keeps code in this folder.
fn runtime(dir: &Path) -> Runtime {
    let mut backends = Extensions::new();
    backends.insert(Emitter::to_nobody());
    let settings = RuntimeSettings {
        calls: 4,
        kept_instances: 16,
        memory_budget: 1 << 30,
        sizes: MessageSizes {
            payload: 1 << 20,
            answer: 4 << 20,
        },
        compiler: Compiler::Here,
        compile_memory: 1 << 30,
        cache: CacheSettings {
            dir: Some(dir.to_owned()),
            max_bytes: 1 << 30,
        },
        backends,
    };
    Runtime::new(settings).expect("the runtime starts")
}

async fn load(runtime: &Runtime, wasm: &[u8]) -> Handler {
    let settings = Config::default().handler_settings("cached", None);
    let candidate = Candidate {
        name: "cached.wasm".into(),
        hash: ContentHash::of(wasm),
        wasm: Bytes::copy_from_slice(wasm),
        settings: settings.expect("the defaults are within bounds"),
    };
    let loaded = runtime.load(candidate, None).await;
    runtime.finish_storing().await;
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn l20_of_a_thousand_damaged_entries_none_is_loaded_and_each_is_made_anew() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let runtime = runtime(&dir);
    let (wasm, other) = (describing(""), describing("nop"));
    for (wasm, origin) in [
        (&wasm, CodeOrigin::Compiled),
        (&wasm, CodeOrigin::Cached),
        (&other, CodeOrigin::Compiled),
    ] {
        assert_eq!(load(&runtime, wasm).await.code_origin(), origin);
    }
    let [first, second] = entries(&dir).try_into().expect("two entries");
    let sound = fs::read(&first).expect("an entry");
    let counts = runtime.cache_counts();
    let loaded = load(&runtime, &wasm).await;
    assert_eq!(loaded.code_origin(), CodeOrigin::Cached);
    let hits = counts.hits.total();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bad = 0;
    for round in 0..1000_u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = (random >> 33) as usize % sound.len();
        let mut damaged = sound.clone();
        match round % 20 {
            0 => damaged.truncate(at),
            1 => damaged = fs::read(&second).expect("an entry"),
            _ => damaged[at] ^= 1 << (random >> 61),
        }
        fs::write(&first, damaged).expect("written");
        // Which of both files is the first is not known here.
        for wasm in [&wasm, &other] {
            load(&runtime, wasm).await;
        }
        bad += 1;
        assert_eq!(counts.bad.total(), bad, "round {round}");
        assert_eq!(counts.hits.total(), hits + bad, "the other is loaded");
        assert_eq!(fs::read(&first).expect("made anew"), sound, "round {round}");
    }
    assert_eq!(counts.failures.total(), 0);
}

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

/// Starts a server over a cache that has to be refused, and returns the warning.
async fn refused(dir: &Path) -> String {
    let server = with_cache(dir)
        .handler("probe.wasm", guest("probe"))
        .start()
        .await;
    assert_eq!(server.get("/slow/1").await.status, 200);
    server.wait_for_log(&["probe.wasm", "compiled in"]).await;
    server.drop_in("probe.wasm", stamped(&guest("probe"), "again"));
    server.wait_for_log(&["reloaded", "compiled in"]).await;
    let lines = server.log().all();
    let mut warnings = lines.iter().filter(|line| line.contains("is not kept"));
    let warning = warnings.next().expect("a warning").clone();
    assert_eq!(warnings.next(), None, "one warning");
    warning
}

#[tokio::test]
async fn l21_a_cache_that_others_could_write_is_refused_with_one_warning() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, Permissions::from_mode(0o770)).expect("set");
    let warning = refused(&dir).await;
    assert!(
        warning.contains("770") && warning.contains("chmod 700"),
        "{warning}"
    );
    assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 0);

    fs::set_permissions(&dir, Permissions::from_mode(0o700)).expect("set");
    let link = temporary.path().join("link");
    symlink(&dir, &link).expect("made");
    let warning = refused(&link).await;
    assert!(warning.contains("a link"), "{warning}");
    assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 0);

    // Only root can give a folder away.
    if std::os::unix::fs::chown(&dir, Some(12345), None).is_ok() {
        let warning = refused(&dir).await;
        assert!(warning.contains("the id 12345"), "{warning}");
        assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 0);
    }
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
        let sizes = files(&dir, "").into_iter().map(|path| fs::metadata(path));
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
    until("the last entry is stored", SOON, async || {
        let stored = server.metrics().await.value(name);
        // The key is beside what counts.
        files(&dir, ".functions").len() == 1 && stored == (sum() - 32) as f64
    })
    .await;
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

#[tokio::test]
async fn l21_a_folder_in_the_place_of_the_key_costs_the_cache_and_one_warning() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    fs::create_dir_all(dir.join("key")).expect("made");
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).expect("set");
    let warning = refused(&dir).await;
    assert!(warning.contains("`key`"), "{warning}");
    assert!(dir.join("key").is_dir());
}

#[tokio::test]
async fn l21_an_entry_that_is_a_link_is_not_followed() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let runtime = runtime(&dir);
    let wasm = describing("");
    load(&runtime, &wasm).await;
    let [entry] = entries(&dir).try_into().expect("one entry");
    let away = temporary.path().join("away");
    fs::rename(&entry, &away).expect("renamed");
    symlink(&away, &entry).expect("made");
    let origin = load(&runtime, &wasm).await.code_origin();
    assert_eq!(origin, CodeOrigin::Compiled);
    assert!(away.exists() && !entry.is_symlink());
    assert_eq!(
        load(&runtime, &wasm).await.code_origin(),
        CodeOrigin::Cached
    );
}

#[tokio::test]
async fn l22_a_full_disk_costs_nothing_but_the_cache() {
    let Some(disk) = SmallDisk::mount("size=256k,mode=700") else {
        return;
    };
    let dir = disk.path().join("cache");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).expect("set");
    fs::write(disk.path().join("ballast"), vec![0; 200_000]).expect("written");
    let probe = guest("probe");
    let server = with_cache(&dir).handler("probe.wasm", &probe).start().await;
    server.wait_for_log(&["is not kept", "make space"]).await;
    for round in 0..3 {
        server.drop_in("probe.wasm", stamped(&probe, &format!("{round}")));
        let generation = format!("generation {}", round + 2);
        server
            .wait_for_log(&["reloaded", &generation, "compiled in"])
            .await;
        assert_eq!(server.get("/slow/1").await.status, 200);
    }
    let warned = |lines: &[String]| {
        let warnings = lines.iter().filter(|line| line.contains("is not kept"));
        warnings.count()
    };
    assert_eq!(warned(&server.log().all()), 1);
    assert_eq!(entries(&dir).len(), 0);
    until("nothing half is left", SOON, async || {
        files(&dir, "").iter().all(|path| path.ends_with("key"))
    })
    .await;
    disk.remount("size=64m");
    server.drop_in("probe.wasm", stamped(&probe, "space"));
    server
        .wait_for_log(&["compiled code is kept", "again"])
        .await;
    has_entries(&dir, 1).await;
}

#[tokio::test]
async fn l22_a_disk_that_cannot_be_written_is_read() {
    let Some(disk) = SmallDisk::mount("size=64m,mode=700") else {
        return;
    };
    let dir = disk.path().join("cache");
    let probe = guest("probe");
    let server = with_cache(&dir).handler("probe.wasm", &probe).start().await;
    has_entries(&dir, 1).await;
    drop(server);
    disk.remount("ro");
    let server = with_cache(&dir).handler("probe.wasm", &probe).start().await;
    server
        .wait_for_log(&["probe.wasm", "cached, loaded in"])
        .await;
    for round in 0..2 {
        server.drop_in("probe.wasm", stamped(&probe, &format!("{round}")));
        let generation = format!("generation {}", round + 2);
        server
            .wait_for_log(&["reloaded", &generation, "compiled in"])
            .await;
    }
    server.wait_for_log(&["is not kept", "cache.dir"]).await;
    let lines = server.log().all();
    let warnings = lines.iter().filter(|line| line.contains("is not kept"));
    assert_eq!(warnings.count(), 1);
    assert_eq!(server.get("/slow/1").await.status, 200);
}

#[tokio::test]
async fn l22_servers_that_are_killed_while_they_store_leave_sound_entries_and_nothing_else() {
    let temporary = folder();
    let dir = temporary.path().join("cache");
    let probe = guest("probe");
    for round in 0..5 {
        let plan = with_cache(&dir).handler("probe.wasm", stamped(&probe, &format!("{round}")));
        let before = files(&dir, "");
        let mut server = plan.start_at_once().await;
        let begun = async || files(&dir, "").iter().any(|path| !before.contains(path));
        until("it begins to store", SOON * 12, begun).await;
        server.signal(Signal::KILL);
        server.wait_for_end(SOON).await;
    }
    let runtime = Arc::new(runtime(&dir));
    runtime.prepare_cache().await;
    let of_versions = entries(&dir).len() + files(&dir, ".functions").len();
    assert_eq!(files(&dir, "").len(), of_versions + 1, "and the key");
    for round in 0..5 {
        load(&runtime, &stamped(&probe, &format!("{round}"))).await;
    }
    assert_eq!(runtime.cache_counts().bad.total(), 0);
}
