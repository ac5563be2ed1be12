//! Compiled code on disk that is damaged, foreign or cannot be written: it costs a compilation and nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Extensions;
use bytes::Bytes;
use hitchy::config::Config;
use hitchy::emitter::Emitter;
use hitchy::runtime::{
    CacheSettings, Candidate, CodeOrigin, Compiler, ContentHash, Handler, MessageSizes, Modules,
    Runtime, RuntimeSettings,
};
use hitchy_tests::code_cache::{entries, files, has_entries, with_cache};
use hitchy_tests::commands::folder;
use hitchy_tests::components::describing;
use hitchy_tests::disk::SmallDisk;
use hitchy_tests::guest;
use hitchy_tests::guests::stamped;
use hitchy_tests::server::Signal;
use hitchy_tests::wait::{SOON, until};

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
            handlers: PathBuf::new(),
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
        modules: Modules::default(),
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
