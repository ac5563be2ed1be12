mod damage;

use std::path::Path;

use super::*;

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings {
        folder: folder.to_owned(),
        max_keys: 1000,
        max_bytes: 16 << 20,
        min_free: 0,
        cache: 8 << 20,
    }
}

fn bucket(name: &str) -> BucketName {
    BucketName::new(name).unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

fn value(bytes: &[u8]) -> Value {
    Value::new(bytes.to_vec()).unwrap()
}

async fn get(store: &Embedded, name: &str, at: &str) -> Option<Vec<u8>> {
    let entry = store.get(&bucket(name), key(at)).await.unwrap();
    entry.map(|entry| entry.value.to_vec())
}

#[tokio::test]
async fn d05_what_was_set_is_there_after_another_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let store = Embedded::open(settings(&path)).unwrap();
    assert_eq!(get(&store, "a", "k").await, None);
    assert!(!path.exists(), "reading makes no folder");
    store
        .set(&bucket("a"), key("k"), value(b"one"))
        .await
        .unwrap();
    store
        .set(&bucket("b"), key("k"), value(b"two"))
        .await
        .unwrap();
    store.close().await.unwrap();
    let again = Embedded::open(settings(&path)).unwrap();
    assert_eq!(get(&again, "a", "k").await.unwrap(), b"one");
    assert_eq!(get(&again, "b", "k").await.unwrap(), b"two");
    assert!(again.delete(&bucket("a"), key("k")).await.unwrap());
    assert!(!again.delete(&bucket("a"), key("k")).await.unwrap());
    let names: Vec<_> = again.buckets().await.unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!((names[0].keys, names[0].bytes), (1, 4));
}

#[tokio::test]
async fn d05_increments_of_many_callers_are_atomic_and_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let name = bucket("a");
    let callers = (0..64).map(|_| async {
        for _ in 0..20 {
            store
                .increment(&name, key("n"), Delta::Signed(1))
                .await
                .unwrap();
        }
    });
    futures_util::future::join_all(callers).await;
    assert_eq!(get(&store, "a", "n").await.unwrap(), b"1280");
    let counters = store.counters();
    assert_eq!(counters.writes(), 1280);
    assert!(counters.commits() < 640, "{}", counters.commits());
}

#[tokio::test]
async fn d05_a_swap_sees_every_change_also_one_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let name = bucket("a");
    let swap = |expected, to: &'static [u8]| store.swap(&name, key("k"), expected, value(to));
    assert!(!swap(Expected::Value(value(b"x")), b"y").await.unwrap());
    assert!(swap(Expected::Absent, b"one").await.unwrap());
    assert!(!swap(Expected::Absent, b"two").await.unwrap());
    let first = store.get(&name, key("k")).await.unwrap().unwrap();
    store.set(&name, key("k"), value(b"one")).await.unwrap();
    assert!(
        !swap(Expected::Version(first.version), b"two")
            .await
            .unwrap()
    );
    assert!(swap(Expected::Value(first.value), b"two").await.unwrap());
    let second = store.get(&name, key("k")).await.unwrap().unwrap();
    store.delete(&name, key("k")).await.unwrap();
    assert!(
        !swap(Expected::Version(second.version), b"three")
            .await
            .unwrap()
    );
    store.set(&name, key("k"), value(b"two")).await.unwrap();
    assert!(
        !swap(Expected::Version(second.version), b"three")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn numbers_have_their_range_and_other_values_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let name = bucket("a");
    let add = |at: &str, delta| store.increment(&name, key(at), delta);
    assert_eq!(add("n", Delta::Signed(-5)).await, Ok(-5));
    assert_eq!(
        add("n", Delta::Signed(i64::MIN)).await,
        Err(Error::Overflow)
    );
    assert_eq!(
        add("u", Delta::Unsigned(u64::MAX)).await,
        Ok(u64::MAX.into())
    );
    assert_eq!(add("u", Delta::Unsigned(1)).await, Err(Error::Overflow));
    assert_eq!(add("u", Delta::Signed(1)).await, Err(Error::Overflow));
    for text in ["", "x", "1.5", "999999999999999999999"] {
        store
            .set(&name, key("t"), value(text.as_bytes()))
            .await
            .unwrap();
        assert_eq!(add("t", Delta::Signed(1)).await, Err(Error::NotANumber));
        assert_eq!(get(&store, "a", "t").await.unwrap(), text.as_bytes());
    }
}

#[tokio::test]
async fn g22_a_bucket_has_its_limits_and_a_refused_batch_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(StoreSettings {
        max_keys: 3,
        max_bytes: 100,
        ..settings(folder.path())
    })
    .unwrap();
    let name = bucket("a");
    let pairs = |names: &[&str], size| {
        let pairs = names.iter().map(|name| (key(name), value(&vec![7; size])));
        Batch::of_pairs(pairs.collect()).unwrap()
    };
    let four = store.set_many(&name, pairs(&["a", "b", "c", "d"], 1)).await;
    assert!(matches!(
        four,
        Err(Error::TooManyKeysStored { limit: 3, .. })
    ));
    let large = store.set_many(&name, pairs(&["a", "b"], 50)).await;
    assert!(matches!(large, Err(Error::BucketFull { limit: 100, .. })));
    assert!(store.buckets().await.unwrap().is_empty());
    // The same key twice is one key, and its last value counts.
    store
        .set_many(&name, pairs(&["a", "b", "c", "a"], 30))
        .await
        .unwrap();
    let sizes = store.buckets().await.unwrap();
    assert_eq!((sizes[0].keys, sizes[0].bytes), (3, 93));
    let sum = store.increment(&name, key("n"), Delta::Signed(1)).await;
    assert!(matches!(sum, Err(Error::TooManyKeysStored { .. })));
    store.set_many(&name, pairs(&["a"], 1)).await.unwrap();
    store
        .set_many(&bucket("b"), pairs(&["a"], 99))
        .await
        .unwrap();
    assert_eq!(get(&store, "b", "n").await, None);
}

#[tokio::test]
async fn g22_keys_are_only_text_and_sizes_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    assert!(Key::new("k".repeat(MAX_KEY_SIZE)).is_ok());
    assert_eq!(
        Key::new("k".repeat(MAX_KEY_SIZE + 1)),
        Err(Error::KeyTooLong(MAX_KEY_SIZE + 1))
    );
    assert!(Value::new(vec![0; 1 << 20]).is_ok());
    assert!(Value::new(vec![0; 10 << 20]).is_err());
    let longest = "k".repeat(MAX_KEY_SIZE);
    let odd = [
        "",
        "\0",
        "a\0b",
        "../b/secret",
        "a/b",
        "\u{10ffff}",
        &longest,
    ];
    for (name, content) in [("a", b"1"), ("a/b", b"2"), ("b", b"3")] {
        for at in odd {
            store
                .set(&bucket(name), key(at), value(content))
                .await
                .unwrap();
        }
    }
    for (name, content) in [("a", b"1"), ("a/b", b"2"), ("b", b"3")] {
        let page = store.list(&bucket(name), None).await.unwrap();
        let keys: Vec<&str> = page.keys.iter().map(|key| &**key).collect();
        let mut sorted = odd.to_vec();
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
        for at in odd {
            assert_eq!(get(&store, name, at).await.unwrap(), content);
        }
    }
    for name in ["", "a\nb", &"n".repeat(513)] {
        assert!(BucketName::new(name).is_err());
    }
}

/// Bytes that a key may have.
const MAX_KEY_SIZE: usize = 1024;

#[tokio::test]
async fn pages_are_bounded_and_go_on_after_the_last_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(StoreSettings {
        max_keys: 5000,
        ..settings(folder.path())
    })
    .unwrap();
    let name = bucket("a");
    for block in 0..3 {
        let pairs =
            (0..1000).map(|index| (key(&format!("{:05}", block * 1000 + index)), value(b"v")));
        store
            .set_many(&name, Batch::of_pairs(pairs.collect()).unwrap())
            .await
            .unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&name, after).await.unwrap();
        assert!(page.keys.len() <= 1000);
        after = page.keys.last().cloned();
        seen.extend(page.keys);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    assert!(seen.is_sorted());
    let (mut pairs, mut after) = (0, None);
    loop {
        let page = store.pairs(&name, after).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        pairs += page.len();
        after = Some(last.clone());
    }
    assert_eq!(pairs, 3000);
    // A page of long keys ends at its size.
    for index in 0..400 {
        let at = format!("{index:04}{}", "k".repeat(1000));
        store
            .set(&bucket("long"), key(&at), value(b""))
            .await
            .unwrap();
    }
    let page = store.list(&bucket("long"), None).await.unwrap();
    assert!(page.more && page.keys.len() < 300, "{}", page.keys.len());
}

#[tokio::test]
async fn several_values_are_read_up_to_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let name = bucket("a");
    for index in 0..5 {
        store
            .set(&name, key(&index.to_string()), value(&vec![1; 1 << 20]))
            .await
            .unwrap();
    }
    let keys = |last: u32| Batch::of_keys((0..last).map(|index| key(&index.to_string())).collect());
    let some = store.get_many(&name, keys(3).unwrap()).await.unwrap();
    assert!(some.len() == 3 && some.iter().all(Option::is_some));
    assert_eq!(
        store.get_many(&name, keys(5).unwrap()).await,
        Err(Error::BatchTooLarge)
    );
    assert!(keys(1001).is_err());
    let none = store
        .get_many(&bucket("none"), keys(3).unwrap())
        .await
        .unwrap();
    assert_eq!(none, [None, None, None]);
}

#[tokio::test]
async fn r04_nothing_is_written_when_too_little_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    store
        .set(&bucket("a"), key("k"), value(b"1"))
        .await
        .unwrap();
    store.close().await.unwrap();
    let store = Embedded::open(StoreSettings {
        min_free: 1 << 60,
        ..settings(folder.path())
    })
    .unwrap();
    let refused = store.set(&bucket("a"), key("k"), value(b"2")).await;
    assert_eq!(refused, Err(Error::DiskFull));
    assert_eq!(get(&store, "a", "k").await.unwrap(), b"1");
    let Health::Degraded(sentence) = store.health() else {
        panic!("{:?}", store.health());
    };
    assert!(sentence.contains("kv.min-free"), "{sentence}");
    assert!(store.delete(&bucket("a"), key("k")).await.unwrap());
}

#[tokio::test]
async fn r05_a_second_opener_is_refused_though_the_file_beside_it_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let set = store.set(&bucket("a"), key("k"), value(b"one")).await;
    set.unwrap();
    std::fs::remove_file(folder.path().join("keyvalue.lock")).unwrap();
    let second = Embedded::open(settings(folder.path())).unwrap_err();
    assert!(matches!(second, OpenError::Locked { .. }), "{second}");
    store.close().await.unwrap();
    let again = Embedded::open(settings(folder.path())).unwrap();
    assert_eq!(get(&again, "a", "k").await.unwrap(), b"one");
}

#[tokio::test]
async fn r05_nothing_is_written_to_a_file_that_was_removed_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(settings(folder.path())).unwrap();
    let set = async |text: &[u8]| store.set(&bucket("a"), key("k"), value(text)).await;
    set(b"one").await.unwrap();
    let (path, away) = (folder.path().join(FILE), folder.path().join("away"));
    std::fs::rename(&path, &away).unwrap();
    let refused = set(b"two").await.unwrap_err().to_string();
    assert!(refused.contains("removed or replaced"), "{refused}");
    assert!(matches!(store.health(), Health::Degraded(_)));
    std::fs::write(&path, "another file").unwrap();
    assert!(set(b"three").await.is_err());
    std::fs::rename(&away, &path).unwrap();
    set(b"four").await.unwrap();
    assert_eq!(store.health(), Health::Ok);
    assert_eq!(get(&store, "a", "k").await.unwrap(), b"four");
}

#[test]
fn r05_what_is_no_folder_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    for path in [file, dangling] {
        let error = Embedded::open(settings(&path)).unwrap_err();
        assert!(error.to_string().contains("kv.path"), "{error}");
    }
}
