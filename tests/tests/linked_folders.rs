//! Links in the handlers folder and on the way to it, as deployment tools lay them: Kubernetes' `..data`, releases, and
//! links between folders. The whole folder is not read again while these tests run: what is seen was notified.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use hitchy_tests::server::Plan;
use hitchy_tests::{Server, expect, guest, scripted};

/// Settings with which changes are seen by notifications only.
const NO_RESCAN: &str = "[handlers]\nrescan = \"1h\"";

fn plan() -> Plan {
    Server::prepare().settings(NO_RESCAN)
}

/// Returns a handler that answers a path with its name.
fn named(name: &str) -> Vec<u8> {
    scripted(&format!("name {name}\nroute GET /{name}")).to_vec()
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// Replaces a link in one step, by a rename.
fn swap(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name("..next");
    symlink(target, &new).expect("linked");
    fs::rename(new, link).expect("renamed");
}

#[tokio::test]
async fn i11_16_a_config_map_with_nested_keys_is_followed_through_its_swaps() {
    let server = plan().start().await;
    let at = |path: &str| server.handlers(path);
    let version = |name: &str, guest_name: &str| {
        write(&at(&format!("{name}/api/v1/v.wasm")), guest(guest_name));
        write(&at(&format!("{name}/api/v1/v.toml")), "memory = \"64MiB\"");
    };
    version("..2026_1", "version_one");
    swap("..2026_1", &at("..data"));
    symlink("..data/api", at("api")).expect("linked");
    server.wait_for_body("/version", "one").await;
    for (number, guest_name, body) in [(2, "version_two", "two"), (3, "version_one", "one")] {
        version(&format!("..2026_{number}"), guest_name);
        swap(format!("..2026_{number}"), &at("..data"));
        server.wait_for_body("/version", body).await;
        fs::remove_dir_all(at(&format!("..2026_{}", number - 1))).expect("removed");
    }
    // The folder behind the links is watched too.
    write(&at("..2026_3/api/v1/more.wasm"), named("more"));
    server.wait_for_status("/more", 200).await;
    fs::remove_file(at("api")).expect("removed");
    server.wait_for_status("/version", 404).await;
}

#[tokio::test]
async fn i11_16_links_of_links_and_replaced_targets_are_followed() {
    let server = plan().start().await;
    let at = |path: &str| server.handlers(path);
    write(&at(".releases/1/api/v.wasm"), guest("version_one"));
    write(&at(".releases/2/api/v.wasm"), guest("version_two"));
    symlink("1", at(".releases/now")).expect("linked");
    symlink(".releases/now", at(".current")).expect("linked");
    symlink(at(".current/api"), at("api")).expect("linked");
    server.wait_for_body("/version", "one").await;
    swap("2", &at(".releases/now"));
    server.wait_for_body("/version", "two").await;
    // The target itself is replaced by another folder.
    fs::rename(at(".releases/2"), at(".releases/old")).expect("renamed");
    fs::rename(at(".releases/1"), at(".releases/2")).expect("renamed");
    server.wait_for_body("/version", "one").await;
    // The link is removed and made again, and the folder behind it is still watched.
    fs::remove_file(at("api")).expect("removed");
    server.wait_for_status("/version", 404).await;
    symlink(".current/api", at("api")).expect("linked");
    server.wait_for_body("/version", "one").await;
    write(&at(".releases/2/api/v.wasm"), guest("version_two"));
    server.wait_for_body("/version", "two").await;
}

#[tokio::test]
async fn i11_16_a_linked_folder_that_leaves_is_refused_by_name() {
    let server = plan()
        .handler("inside.wasm", named("inside"))
        .file("outside/out.wasm", named("out"))
        .start()
        .await;
    symlink(server.dir().join("outside"), server.handlers("out")).expect("linked");
    let line = server
        .wait_for_log(&[
            "out/",
            "outside the handlers folder",
            "copy the folder here",
        ])
        .await;
    assert!(!line.contains("cannot be read"), "{line}");
    symlink("../outside", server.handlers("relative")).expect("linked");
    server
        .wait_for_log(&["relative/", "outside the handlers folder"])
        .await;
    symlink(".", server.handlers("round")).expect("linked");
    server.wait_for_log(&["round/", "in which it lies"]).await;
    symlink("nowhere", server.handlers("gone")).expect("linked");
    server.wait_for_log(&["gone/", "leads nowhere"]).await;
    assert_eq!(server.get("/inside").await.status, 200);
    expect::failure(&server.get("/out").await, 404);
}

#[tokio::test]
async fn i11_16_a_link_that_leaves_later_does_not_take_down_what_is_served() {
    let server = plan()
        .handler("..1/api/v.wasm", guest("version_one"))
        .file("outside/v.wasm", guest("version_two"))
        .start()
        .await;
    symlink("..1/api", server.handlers("api")).expect("linked");
    server.wait_for_body("/version", "one").await;
    swap(server.dir().join("outside"), &server.handlers("api"));
    server
        .wait_for_log(&["api/", "outside the handlers folder"])
        .await;
    assert_eq!(server.get("/version").await.text(), "one");
}

#[tokio::test]
async fn i11_16_a_release_is_switched_by_a_link_on_the_way_to_the_folder() {
    let plan = Server::prepare()
        .settings(NO_RESCAN)
        .flag("--handlers")
        .flag("current/handlers")
        .file("releases/1/handlers/v.wasm", guest("version_one"))
        .file("releases/2/handlers/v.wasm", guest("version_two"));
    symlink("releases/1", plan.dir().join("current")).expect("linked");
    let server = plan.start().await;
    server.wait_for_body("/version", "one").await;
    for (release, body) in [(2, "two"), (1, "one"), (2, "two")] {
        swap(format!("releases/{release}"), &server.dir().join("current"));
        server.wait_for_body("/version", body).await;
    }
    write(
        &server.dir().join("releases/2/handlers/more.wasm"),
        named("more"),
    );
    server.wait_for_status("/more", 200).await;
}

#[tokio::test]
async fn i11_16_settings_that_are_a_link_are_followed_through_their_swaps() {
    let plan = plan().file("..1/hitchy.toml", NO_RESCAN).file(
        "..2/hitchy.toml",
        format!("{NO_RESCAN}\n[limits]\ndeadline = \"3s\""),
    );
    let file = plan.dir().join("hitchy.toml");
    fs::remove_file(&file).expect("removed");
    symlink("..1", plan.dir().join("..data")).expect("linked");
    symlink("..data/hitchy.toml", &file).expect("linked");
    let server = plan.start().await;
    swap("..2", &server.dir().join("..data"));
    server
        .wait_for_log(&["settings changed", "limits.deadline"])
        .await;
    let from = server.log().len();
    let real = server.dir().join("..2/hitchy.toml");
    fs::write(real, format!("{NO_RESCAN}\n[limits]\ndeadline = \"4s\"")).expect("written");
    server
        .wait_for_log_from(from, &["settings changed", "limits.deadline"])
        .await;
}
