//! Tests of the list: links, loops, and what is named because it is not searched.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn l17_hidden_and_other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        ".x.wasm", "x.wasm~", "x.part", "x.toml", "b.wasm", "a b.wasm",
    ] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fs::create_dir_all(folder.path().join("api")).unwrap();
    fs::write(folder.path().join("api/shop.wasm"), "x").unwrap();
    let listing = list(folder.path()).unwrap();
    let names: Vec<_> = listing
        .found
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(names, ["a b.wasm", "api/shop.wasm", "b.wasm"]);
}

#[test]
fn l09_what_is_no_file_inside_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap()
    };
    link("/etc/hostname", "out.wasm");
    link("/dev/zero", "zero.wasm");
    link("loop.wasm", "loop.wasm");
    link("nowhere", "dangling.wasm");
    fs::create_dir(folder.path().join("dir.wasm")).unwrap();
    let _socket =
        std::os::unix::net::UnixListener::bind(folder.path().join("socket.wasm")).unwrap();
    let listing = list(folder.path()).unwrap();
    let names: Vec<_> = listing
        .unfit
        .iter()
        .map(|unfit| unfit.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "dangling.wasm",
            "dir.wasm",
            "loop.wasm",
            "out.wasm",
            "socket.wasm",
            "zero.wasm"
        ]
    );
    assert!(listing.found.is_empty());
}

#[test]
fn l07_a_link_inside_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("..data")).unwrap();
    fs::write(folder.path().join("..data/a.wasm"), "x").unwrap();
    std::os::unix::fs::symlink("..data/a.wasm", folder.path().join("a.wasm")).unwrap();
    assert_eq!(list(folder.path()).unwrap().found.len(), 1);
}

/// Makes files, and links from the second to the first of each pair.
fn folder_with(files: &[&str], links: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    for (target, link) in links {
        let link = folder.path().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
    folder
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.found.iter().map(|one| one.name.as_str()).collect()
}

fn hidden(listing: &Listing) -> Vec<&str> {
    listing.hidden.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn i11_16_a_folder_that_is_a_link_is_followed() {
    let folder = folder_with(
        &["..2026_x/api/v1/a.wasm", "..2026_x/b.wasm", "plain/c.wasm"],
        &[
            ("..2026_x", "..data"),
            ("..data/api", "api"),
            ("..data/b.wasm", "b.wasm"),
            ("api", "again"),
            ("again", "plain/third"),
            ("../again", "plain/fourth"),
        ],
    );
    let listing = list(folder.path()).unwrap();
    assert_eq!(
        names(&listing),
        [
            "again/v1/a.wasm",
            "api/v1/a.wasm",
            "b.wasm",
            "plain/c.wasm",
            "plain/fourth/v1/a.wasm"
        ]
    );
    // `plain/third` names `plain/again`, which does not exist.
    assert_eq!(hidden(&listing), ["plain/third/"]);
    assert!(listing.unfit.is_empty());
}

#[test]
fn i11_16_links_that_go_round_in_circles_end_and_are_named() {
    let folder = folder_with(
        &["a/a.wasm", "b/b.wasm"],
        &[
            (".", "here"),
            ("../b", "a/to_b"),
            ("../a", "b/to_a"),
            ("../../", "a/up"),
            ("self", "self"),
            ("ping", "pong"),
            ("pong", "ping"),
        ],
    );
    let listing = list(folder.path()).unwrap();
    assert_eq!(
        names(&listing),
        ["a/a.wasm", "a/to_b/b.wasm", "b/b.wasm", "b/to_a/a.wasm"]
    );
    let hidden = hidden(&listing);
    for name in [
        "here/",
        "a/to_b/to_a/",
        "b/to_a/to_b/",
        "self/",
        "ping/",
        "pong/",
    ] {
        assert!(hidden.contains(&name), "{name}: {hidden:?}");
    }
}

#[test]
fn i11_16_many_links_between_folders_end() {
    let folder = tempfile::tempdir().unwrap();
    for from in 0..12 {
        fs::create_dir(folder.path().join(format!("f{from}"))).unwrap();
        for to in 0..12 {
            let link = folder.path().join(format!("f{from}/l{to}"));
            symlink(format!("../f{to}"), link).unwrap();
        }
    }
    let listing = list(folder.path()).unwrap();
    let is_named = |one: &Unfit| one.cause.contains("other links");
    assert!(listing.hidden.iter().any(is_named));
}

#[test]
fn i11_16_a_folder_that_is_not_searched_is_named() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.wasm"), "x").unwrap();
    let deep = format!("{}deep.wasm", "d/".repeat(17));
    let deepest = format!("{}deep.wasm", "e/".repeat(16));
    let folder = folder_with(
        &[&deep, &deepest],
        &[
            ("nowhere", "gone"),
            ("nowhere", "notes.txt"),
            ("nowhere", ".hidden"),
        ],
    );
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(outside.path(), folder.path().join(".out")).unwrap();
    let listing = list(folder.path()).unwrap();
    assert_eq!(names(&listing), [deepest]);
    assert_eq!(
        hidden(&listing),
        ["d/".repeat(17).as_str(), "gone/", "out/"]
    );
    assert!(listing.hides("out/x.wasm"));
    let cause = &listing.hidden.last().unwrap().cause;
    assert!(cause.contains("outside the handlers folder"), "{cause}");
}
