//! Tests of the cache of compiled code: what is not exactly what was stored is never loaded.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use wasmtime::{Config, Engine};

use super::key::{WASMTIME, WIT_COMPONENT};
use super::*;
use crate::runtime::adapt::Adapter;
use crate::runtime::content_hash::ContentHash;
use crate::runtime::settings::Serve;

struct Fixture {
    cache: CodeCache,
    dir: PathBuf,
    _temporary: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with_room(1 << 20)
    }

    fn with_room(max_bytes: u64) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("cache/hitchy");
        let settings = CacheSettings {
            handlers: PathBuf::new(),
            dir: Some(dir.clone()),
            max_bytes,
        };
        Self {
            cache: CodeCache::new(settings),
            dir,
            _temporary: temporary,
        }
    }

    fn path(&self, key: &EntryKey) -> PathBuf {
        self.dir.join(key.file_name())
    }

    fn stored(&self, content: &str) -> (EntryKey, CachedCode) {
        let (key, entry) = (key(content), entry(content));
        self.cache.store(&key, &entry);
        assert_eq!(self.cache.load(&key).as_ref(), Some(&entry));
        (key, entry)
    }

    /// Asserts that an entry is not loaded and removed.
    fn is_rejected(&self, key: &EntryKey, why: &str) {
        let bad = self.cache.counts().bad.total();
        assert_eq!(self.cache.load(key), None, "{why}");
        assert!(fs::symlink_metadata(self.path(key)).is_err(), "{why}");
        assert_eq!(self.cache.counts().bad.total(), bad + 1, "{why}");
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn engine_id() -> EngineId {
    EngineId::of(&Engine::default())
}

fn key(content: &str) -> EntryKey {
    let hash = ContentHash::of(content.as_bytes());
    EntryKey::new(engine_id(), hash, Serve::Exports, None)
}

fn entry(content: &str) -> CachedCode {
    CachedCode {
        adapted: (content.len() % 2 == 1).then(|| content.repeat(10).into()),
        code: content.repeat(100).into(),
    }
}

#[test]
fn l20_an_entry_of_a_size_that_none_has_is_not_read() {
    let fixture = Fixture::with_room(u64::MAX);
    let (key, _) = fixture.stored("code!");
    // A hole of the file takes no space of the disk, and more memory than there is if it is read.
    let file = fs::File::options().write(true).open(fixture.path(&key));
    file.unwrap().set_len(1 << 40).unwrap();
    fixture.is_rejected(&key, "1 TiB");
}

#[test]
fn l20_of_a_thousand_flipped_bits_none_is_loaded() {
    let fixture = Fixture::new();
    let (key, entry) = fixture.stored("code!");
    let path = fixture.path(&key);
    let sound = fs::read(&path).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..1000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // The seal, the head and both ends come first, so that every part is hit.
        let at = match round {
            0..64 => round,
            _ => (random >> 33) as usize % sound.len(),
        };
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (random >> 61);
        fs::write(&path, flipped).unwrap();
        fixture.is_rejected(&key, &format!("byte {at}"));
    }
    fs::write(&path, sound).unwrap();
    assert_eq!(fixture.cache.load(&key), Some(entry));
}

#[test]
fn l20_what_is_cut_off_or_appended_is_not_loaded() {
    let fixture = Fixture::new();
    let (key, _) = fixture.stored("code!");
    let path = fixture.path(&key);
    let sound = fs::read(&path).unwrap();
    for length in (0..sound.len()).step_by(7).chain([sound.len() - 1]) {
        fs::write(&path, &sound[..length]).unwrap();
        fixture.is_rejected(&key, &format!("{length} bytes"));
    }
    fs::write(&path, [&*sound, b"x"].concat()).unwrap();
    fixture.is_rejected(&key, "a byte too many");
}

#[test]
fn l20_entries_that_change_places_are_not_loaded() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.stored("one"), fixture.stored("other"));
    let (here, there) = (fixture.path(&one.0), fixture.path(&two.0));
    let (first, second) = (fs::read(&here).unwrap(), fs::read(&there).unwrap());
    fs::write(&here, second).unwrap();
    fs::write(&there, first).unwrap();
    fixture.is_rejected(&one.0, "the other's");
    fixture.is_rejected(&two.0, "the one's");
}

#[test]
fn l20_code_for_another_engine_version_or_job_has_another_key() {
    let other = |change: fn(&mut Config)| {
        let mut config = Config::new();
        change(&mut config);
        EngineId::of(&Engine::new(&config).unwrap())
    };
    let ids = [
        engine_id(),
        other(|config| {
            config.epoch_interruption(true);
        }),
        other(|config| {
            config.consume_fuel(true);
        }),
    ];
    let hash = ContentHash::of(b"code");
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        for serve in [Serve::Exports, Serve::Cgi] {
            for adapter in [None, Some(Adapter::Reactor), Some(Adapter::Command)] {
                names.push(EntryKey::new(id, hash, serve, adapter).file_name());
            }
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(engine_id(), other(|_| {}), "equal engines share entries");
    // The code of one engine under the name of another.
    let fixture = Fixture::new();
    let (stored, _) = fixture.stored("code");
    let asked = EntryKey::new(ids[1], hash, Serve::Exports, None);
    fs::rename(fixture.path(&stored), fixture.path(&asked)).unwrap();
    fixture.is_rejected(&asked, "another engine's");
}

#[test]
fn l20_the_versions_in_the_key_are_those_that_are_built() {
    let lock = include_str!("../../../../Cargo.lock");
    for (name, version) in [("wasmtime", WASMTIME), ("wit-component", WIT_COMPONENT)] {
        let built = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&built), "write the new version of {name}");
    }
}

#[test]
fn l20_a_lost_short_or_readable_key_is_replaced_and_all_it_sealed_is_bad() {
    type Damage = fn(&std::path::Path);
    let damages: [Damage; 4] = [
        |key| fs::remove_file(key).unwrap(),
        |key| fs::write(key, [7; 31]).unwrap(),
        |key| fs::set_permissions(key, Permissions::from_mode(0o640)).unwrap(),
        |key| {
            fs::rename(key, key.with_extension("away")).unwrap();
            symlink(key.with_extension("away"), key).unwrap();
        },
    ];
    for damage in damages {
        let fixture = Fixture::new();
        let (old, _) = fixture.stored("old");
        damage(&fixture.dir.join("key"));
        let (new, _) = fixture.stored("new");
        fixture.is_rejected(&old, "an earlier key");
        let key = fs::symlink_metadata(fixture.dir.join("key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(key.is_file() && key.len() == 32);
        assert!(fixture.cache.load(&new).is_some());
    }
}

#[test]
fn l21_what_is_made_belongs_to_the_user_alone() {
    let fixture = Fixture::new();
    let (key, _) = fixture.stored("code");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fixture.dir.clone()), 0o700);
    assert_eq!(mode(fixture.path(&key)), 0o600);
}

#[test]
fn l20_servers_that_begin_at_once_have_the_same_key() {
    for _ in 0..50 {
        let fixture = Fixture::new();
        let folder = PrivateFolder::make(&fixture.dir).unwrap();
        let barrier = std::sync::Barrier::new(8);
        let made = || {
            barrier.wait();
            let key = SealKey::read_or_make(&folder).unwrap();
            seal(&key, "name", &[])
        };
        let seals: Vec<_> = std::thread::scope(|scope| {
            let servers: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
            let joined = servers.into_iter().map(|server| server.join().unwrap());
            joined.collect()
        });
        assert!(seals.iter().all(|one| *one == seals[0]));
        assert_eq!(fixture.names(), ["key"]);
    }
}

#[test]
fn l21_a_folder_in_the_place_of_an_entry_is_left_alone_and_all_others_are_kept() {
    let fixture = Fixture::with_room(4000);
    let taken = key("taken");
    fixture.stored("first");
    fs::create_dir(fixture.path(&taken)).unwrap();
    fs::write(fixture.path(&taken).join("file"), "of somebody").unwrap();
    for round in 0..20 {
        fixture.cache.store(&taken, &entry("taken"));
        assert_eq!(fixture.cache.load(&taken), None);
        fixture.stored(&format!("round {round}"));
    }
    fixture.cache.prepare();
    assert!(fixture.path(&taken).join("file").exists());
    let counts = fixture.cache.counts();
    assert_eq!((counts.failures.total(), counts.bad.total()), (0, 0));
    assert!(counts.stored() <= 4000, "{}", counts.stored());
}

#[test]
fn l21_a_folder_in_the_place_of_the_key_is_one_failure_and_removes_nothing() {
    let fixture = Fixture::new();
    let (old, _) = fixture.stored("old");
    let place = fixture.dir.join("key");
    fs::rename(&place, fixture.dir.join("away")).unwrap();
    fs::create_dir(&place).unwrap();
    fixture.cache.prepare();
    let trouble = fixture.cache.trouble().expect("a failure");
    assert!(trouble.contains("`key`"), "{trouble}");
    assert_eq!(fixture.cache.load(&old), None);
    fixture.cache.store(&key("new"), &entry("new"));
    assert!(fixture.path(&old).exists(), "it may be good again");
    assert!(place.is_dir() && !fixture.path(&key("new")).exists());
    fs::remove_dir(&place).unwrap();
    fs::rename(fixture.dir.join("away"), &place).unwrap();
    assert!(fixture.cache.load(&old).is_some());
    fixture.stored("new");
    assert_eq!(fixture.cache.trouble(), None);
}

#[test]
fn i13_2_entries_that_are_being_written_count_for_the_bound() {
    let contents: Vec<_> = (0..40).map(|number| format!("{number:04}")).collect();
    let max = 5000;
    let fixture = Fixture::with_room(max);
    let size = || -> u64 {
        let listed = fs::read_dir(&fixture.dir).into_iter().flatten();
        let sizes = listed.filter_map(|entry| entry.ok()?.metadata().ok());
        sizes.map(|stat| stat.len()).sum()
    };
    std::thread::scope(|scope| {
        for contents in contents.chunks(10) {
            let cache = &fixture.cache;
            scope.spawn(move || {
                for content in contents {
                    cache.store(&key(content), &entry(content));
                }
            });
        }
    });
    assert!(size() <= max + 32, "{}", size());
    assert_eq!(fixture.cache.counts().failures.total(), 0);
    // The file of another server that is being written takes room too, and cannot be removed.
    let folder = PrivateFolder::open(&fixture.dir).unwrap().unwrap();
    let other = folder.begin(max - 100).unwrap();
    fixture.cache.store(&key("more"), &entry("more"));
    assert!(fixture.cache.load(&key("more")).is_none());
    assert!(size() <= max + 32, "{}", size());
    drop(other);
    fixture.stored("more");
}

#[test]
fn l21_a_folder_that_others_can_write_or_that_is_a_link_is_not_used() {
    for mode in [0o770, 0o707, 0o777, 0o720, 0o702] {
        let fixture = Fixture::new();
        let (key, entry) = fixture.stored("code");
        fs::set_permissions(&fixture.dir, Permissions::from_mode(mode)).unwrap();
        let before = fixture.names();
        assert_eq!(fixture.cache.load(&key), None);
        fixture.cache.store(&super::tests::key("more"), &entry);
        fixture.cache.prepare();
        assert_eq!(fixture.names(), before, "{mode:o}");
        assert_eq!(fixture.cache.counts().hits.total(), 1);
    }
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let (key, entry) = other.stored("code");
    fs::create_dir_all(fixture.dir.parent().unwrap()).unwrap();
    symlink(&other.dir, &fixture.dir).unwrap();
    assert_eq!(fixture.cache.load(&key), None);
    fixture.cache.store(&super::tests::key("more"), &entry);
    assert_eq!(other.names().len(), 2, "the key and one entry");
}

#[test]
fn l21_an_entry_that_is_a_link_or_a_pipe_is_removed_and_what_it_leads_to_is_kept() {
    let fixture = Fixture::new();
    let (key, entry) = fixture.stored("code");
    let path = fixture.path(&key);
    let away = fixture.dir.join("away");
    fs::rename(&path, &away).unwrap();
    symlink(&away, &path).unwrap();
    fixture.is_rejected(&key, "a link");
    assert!(away.exists());
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    fixture.is_rejected(&key, "a pipe");
    fixture.cache.store(&key, &entry);
    assert_eq!(fixture.cache.load(&key), Some(entry));
}

#[test]
fn l22_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not() {
    let fixture = Fixture::new();
    fixture.stored("code");
    let (dead, written) = (fixture.dir.join(".new-1"), fixture.dir.join(".new-2"));
    fs::write(&dead, "half").unwrap();
    let writer = fs::File::create(&written).unwrap();
    writer.lock().unwrap();
    fixture.cache.prepare();
    assert!(!dead.exists() && written.exists());
    drop(writer);
    fixture.cache.prepare();
    assert_eq!(fixture.names().len(), 2, "the key and one entry");
}

#[test]
fn i13_2_what_was_not_used_for_the_longest_time_makes_room() {
    let size = |content: &str| {
        let fixture = Fixture::new();
        let (key, _) = fixture.stored(content);
        fs::metadata(fixture.path(&key)).unwrap().len()
    };
    let fixture = Fixture::with_room(3 * size("aa") + 1);
    let (first, second, third) = (
        fixture.stored("aa").0,
        fixture.stored("bb").0,
        fixture.stored("cc").0,
    );
    let now = SystemTime::now();
    for (key, age) in [(&first, 30), (&second, 20), (&third, 10)] {
        let file = fs::File::open(fixture.path(key)).unwrap();
        file.set_modified(now - Duration::from_secs(age)).unwrap();
    }
    // It is used, and so it stays.
    assert!(fixture.cache.load(&first).is_some());
    fixture.stored("dd");
    assert!(fixture.cache.load(&second).is_none());
    assert!(fixture.cache.load(&third).is_some() && fixture.cache.load(&first).is_some());
    assert_eq!(fixture.cache.counts().stored(), 3 * size("aa"));
    // What could never fit is not stored, and takes no other's place.
    let large = "large".repeat(1000);
    fixture.cache.store(&key(&large), &entry(&large));
    assert!(fixture.cache.load(&key(&large)).is_none());
    assert!(fixture.cache.load(&first).is_some());
}
