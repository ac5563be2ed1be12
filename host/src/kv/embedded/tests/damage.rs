//! Files that are damaged, foreign or in use.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Makes a closed store with some content, and returns the path of its file.
async fn closed(folder: &Path) -> PathBuf {
    let store = Embedded::open(settings(folder)).unwrap();
    for index in 0..300 {
        let at = key(&format!("key-{index:03}"));
        store
            .set(&bucket("a"), at, value(format!("value {index}").as_bytes()))
            .await
            .unwrap();
    }
    store
        .set(&bucket("b"), key("large"), value(&vec![9; 200_000]))
        .await
        .unwrap();
    store.close().await.unwrap();
    folder.join(FILE)
}

/// Returns true if everything of [`closed`] can be read; false if an operation says that it cannot.
async fn is_complete(store: &Embedded) -> bool {
    for index in 0..300 {
        let at = key(&format!("key-{index:03}"));
        match store.get(&bucket("a"), at).await {
            Ok(Some(entry)) => assert_eq!(*entry.value, *format!("value {index}").as_bytes()),
            Ok(None) => panic!("key {index} is silently gone"),
            Err(_) => return false,
        }
    }
    match store.get(&bucket("b"), key("large")).await {
        Ok(Some(entry)) => *entry.value == [9; 200_000],
        Ok(None) => panic!("the large value is silently gone"),
        Err(_) => false,
    }
}

#[tokio::test]
async fn r05_a_flipped_byte_is_told_and_nothing_is_silently_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed(folder.path()).await;
    let content = fs::read(&path).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    // The head is flipped byte by byte, and the rest here and there.
    let head = 0..320;
    let rest = (320..content.len()).step_by((content.len() / 400).max(1));
    for at in head.chain(rest) {
        let mut damaged = content.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        match Embedded::open(settings(folder.path())) {
            Ok(store) => {
                assert!(is_complete(&store).await, "byte {at} was found too late");
                harmless += 1;
                store.close().await.unwrap();
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains(FILE) && text.contains("left as it is"),
                    "{text}"
                );
                assert!(
                    fs::read(&path).unwrap() == damaged,
                    "byte {at}: the file was changed"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "{refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn r05_a_truncated_file_is_refused_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed(folder.path()).await;
    let content = fs::read(&path).unwrap();
    let sizes = [
        0,
        1,
        8,
        9,
        64,
        320,
        4095,
        4096,
        8192,
        content.len() / 2,
        content.len() - 1,
    ];
    for size in sizes {
        fs::write(&path, &content[..size]).unwrap();
        let error = Embedded::open(settings(folder.path())).expect_err(&format!("{size} bytes"));
        assert!(error.to_string().contains("left as it is"), "{error}");
        assert!(fs::read(&path).unwrap() == content[..size], "{size}");
    }
    fs::write(&path, &content).unwrap();
    assert!(is_complete(&Embedded::open(settings(folder.path())).unwrap()).await);
}

#[tokio::test]
async fn r05_what_is_not_ours_is_refused_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for content in [
        "",
        "SQLite format 3",
        "#!/bin/sh\necho hello, this is longer than a magic number\n",
    ] {
        fs::write(&path, content).unwrap();
        let error = Embedded::open(settings(folder.path())).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    let other = redb::Database::create(&path).unwrap();
    other.close().unwrap();
    let before = fs::read(&path).unwrap();
    let error = Embedded::open(settings(folder.path())).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(fs::read(&path).unwrap() == before);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = Embedded::open(settings(folder.path())).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
}

#[tokio::test]
async fn r05_the_second_that_opens_a_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let first = Embedded::open(settings(folder.path())).unwrap();
    first
        .set(&bucket("a"), key("k"), value(b"1"))
        .await
        .unwrap();
    let error = Embedded::open(settings(folder.path()))
        .unwrap_err()
        .to_string();
    let process = std::process::id().to_string();
    assert!(
        error.contains("another process") && error.contains(&process),
        "{error}"
    );
    first.close().await.unwrap();
    assert!(Embedded::open(settings(folder.path())).is_ok());
}

#[tokio::test]
async fn damage_while_it_runs_is_an_error_and_known_to_probes() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed(folder.path()).await;
    // A cache of no size, so that reads come from the file.
    let store = Embedded::open(StoreSettings {
        cache: 0,
        ..settings(folder.path())
    })
    .unwrap();
    let mut content = fs::read(&path).unwrap();
    let run = content
        .windows(4096)
        .position(|part| part.iter().all(|byte| *byte == 9));
    content[run.unwrap() + 5000] ^= 1;
    fs::write(&path, &content).unwrap();
    let got = store.get(&bucket("b"), key("large")).await;
    assert_eq!(got, Err(Error::Damaged));
    assert!(matches!(store.health(), Health::Degraded(sentence) if sentence.contains(FILE)));
    assert_eq!(get(&store, "a", "key-001").await.unwrap(), b"value 1");
}
