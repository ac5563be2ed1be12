//! The command `hitchy new`: a new handler works, and a failed command leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use hitchy_tests::commands::{err, folder, hitchy, json_of, out, program, refused};
use hitchy_tests::guests::example;
use hitchy_tests::raw::{Packet, RawClient};
use hitchy_tests::server::binary;
use hitchy_tests::wait::{SOON, eventually};
use hitchy_tests::{Server, cargo, sources, target_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test]
async fn a_new_handler_passes_its_tests_and_answers_in_a_server() {
    example("hello");
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "services/newcomer"]);
    assert!(made.status.success(), "{}", err(&made));
    let handler = folder.path().join("services/newcomer");
    let lock = sources().join("../examples/Cargo.lock");
    fs::copy(lock, handler.join("Cargo.lock")).expect("copied");

    let tested = cargo_in(&handler, "examples", &["test", "--quiet"]);
    assert!(tested.contains("2 passed"), "{tested}");
    let build = ["build", "--release", "--target", "wasm32-wasip2"];
    cargo_in(&handler, "fixtures", &build);
    let wasm = target_dir().join("fixtures/wasm32-wasip2/release/newcomer.wasm");

    let server = Server::with("newcomer.wasm", fs::read(&wasm).expect("built")).await;
    let answer = server.get("/api/hello/Ada").await;
    assert_eq!(answer.json(), json!({ "hello": "Ada" }));
    let mut client = RawClient::connect("websocket", server.addr(), "/").await;
    let said = r#"["chat:say",{"from":"Ada","text":"hi"}]"#;
    let ack = client.ask("1", said).await.expect("an ack");
    assert_eq!(ack, r#"["told everyone"]"#);

    // The flag for the small stack is in the handler's own settings of cargo.
    let inspected = hitchy(folder.path(), &["inspect", path(&wasm), "--output", "json"]);
    let report = json_of(&inspected);
    assert_eq!(report["hints"], json!([]));
    assert!(
        report["memory"]["initial"].as_u64() < Some(1 << 20),
        "{report}"
    );
}

#[tokio::test]
async fn i12_8_a_handler_of_the_template_cron_passes_its_tests_and_runs_by_itself() {
    example("hello");
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "night", "--template", "cron"]);
    assert!(made.status.success(), "{}", err(&made));
    for words in ["two schedules", "hitchy listen tick", "/api/schedules"] {
        assert!(out(&made).contains(words), "{words:?} in {}", out(&made));
    }
    let handler = folder.path().join("night");
    let lock = sources().join("../examples/Cargo.lock");
    fs::copy(lock, handler.join("Cargo.lock")).expect("copied");
    let tested = cargo_in(&handler, "examples", &["test", "--quiet"]);
    assert!(tested.contains("2 passed"), "{tested}");
    let build = ["build", "--release", "--target", "wasm32-wasip2"];
    cargo_in(&handler, "fixtures", &build);
    let wasm = target_dir().join("fixtures/wasm32-wasip2/release/night.wasm");

    // The settings are valid with the commented examples enabled, and give the schedule other times.
    let settings = fs::read_to_string(handler.join("hitchy.toml")).expect("readable");
    let schedules = settings
        .lines()
        .find_map(|line| line.strip_prefix("# schedules"));
    let sidecar = format!("schedules{}", schedules.expect("an example"));
    let server = Server::prepare()
        .handler("night.wasm", fs::read(&wasm).expect("built"))
        .handler("night.toml", sidecar.replace("every 1m", "every 1s"))
        .console()
        .start()
        .await;
    // The scheduler follows the table of handlers, so it may know them a moment later than the log.
    let listed = async || {
        let schedules = server.ask_console("/api/schedules").await.json();
        let schedule = |place: usize| {
            let one = &schedules["schedules"][place];
            json!([one["name"], one["times"]])
        };
        let wanted = [json!(["tick", "every 1s"]), json!(["clean_up", "off"])];
        ([schedule(0), schedule(1)] == wanted).then_some(())
    };
    eventually("both schedules are listed", SOON, listed).await;
    let mut client = RawClient::connect("websocket", server.addr(), "/").await;
    let Packet::Text(ticked) = client.next().await.expect("an event") else {
        panic!("bytes");
    };
    assert!(ticked.starts_with(r#"42["tick","#), "{ticked}");
    assert!(ticked.ends_with("000]"), "a whole second: {ticked}");
}

#[test]
fn i12_8_the_template_proxy_passes_its_tests_and_names_the_server_that_it_calls() {
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "my-proxy", "--template", "proxy"]);
    assert!(made.status.success(), "{}", err(&made));
    assert!(
        out(&made).contains("/api/stars/rust-lang/rust"),
        "{}",
        out(&made)
    );
    let handler = folder.path().join("my-proxy");
    let lock = sources().join("../examples/Cargo.lock");
    fs::copy(lock, handler.join("Cargo.lock")).expect("copied");
    let tested = cargo_in(&handler, "examples", &["test", "--quiet"]);
    assert!(tested.contains("2 passed"), "{tested}");
    let printed = hitchy(&handler, &["serve", "--print-config"]);
    let printed = out(&printed);
    assert!(printed.contains("[handler.my_proxy]"), "{printed}");
    assert!(
        printed.contains("outbound = [\"https://api.github.com\"]"),
        "{printed}"
    );

    let unknown = hitchy(folder.path(), &["new", "mine", "--template", "nothing"]);
    let said = err(&unknown);
    assert_eq!(unknown.status.code(), Some(2), "{said}");
    assert!(
        said.contains("possible values: hello, api, cron, proxy"),
        "{said}"
    );
}

#[tokio::test]
async fn i12_8_the_template_api_passes_its_tests_and_keeps_items_in_a_server() {
    example("hello");
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "stock", "--template", "api"]);
    assert!(made.status.success(), "{}", err(&made));
    assert!(out(&made).contains("/api/items"), "{}", out(&made));
    let handler = folder.path().join("stock");
    let lock = sources().join("../examples/Cargo.lock");
    fs::copy(lock, handler.join("Cargo.lock")).expect("copied");
    let tested = cargo_in(&handler, "examples", &["test", "--quiet"]);
    assert!(tested.contains("3 passed"), "{tested}");
    let build = ["build", "--release", "--target", "wasm32-wasip2"];
    cargo_in(&handler, "fixtures", &build);
    let wasm = target_dir().join("fixtures/wasm32-wasip2/release/stock.wasm");

    let server = Server::with("stock.wasm", fs::read(&wasm).expect("built")).await;
    let tea = json!({ "id": "tea", "name": "Tea", "price": 3 });
    assert_eq!(server.post("/api/items", &tea).await.status, 201);
    assert_eq!(server.post("/api/items", &tea).await.status, 409);
    assert_eq!(
        server
            .post("/api/items", &json!({ "id": "x" }))
            .await
            .status,
        400
    );
    assert_eq!(server.get("/api/items").await.json(), json!([tea]));
    assert_eq!(server.get("/api/items/coffee").await.status, 404);
}

#[test]
fn what_was_made_is_said_with_the_next_steps() {
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "mine"]);
    let said = out(&made);
    for step in [
        "cd mine",
        "cargo test",
        "hitchy dev",
        "curl http://localhost:3000/api/hello/you",
        "hitchy listen chat:said",
        "hitchy emit chat:say '{\"from\":\"you\",\"text\":\"hi\"}' --ack",
    ] {
        assert!(said.contains(step), "{step:?} is missing in: {said}");
    }
    assert_eq!(names(folder.path()), ["mine"]);
    let files = [".cargo", ".gitignore", "Cargo.toml", "hitchy.toml", "src"];
    assert_eq!(names(&folder.path().join("mine")), files);
    // The new settings are valid as they are, and also with the commented examples enabled.
    let settings = folder.path().join("mine/hitchy.toml");
    let text = fs::read_to_string(&settings).expect("readable");
    let example = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let examples: Vec<String> = text.lines().map(example).collect();
    for text in [text.clone(), examples.join("\n")] {
        fs::write(&settings, &text).expect("written");
        let printed = hitchy(&folder.path().join("mine"), &["serve", "--print-config"]);
        assert!(printed.status.success(), "{}\n{text}", err(&printed));
    }
}

#[test]
fn a_path_with_spaces_is_one_word_in_the_next_steps() {
    let folder = folder();
    let made = hitchy(folder.path(), &["new", "my code/shop"]);
    let said = out(&made);
    assert!(said.contains("  cd 'my code/shop'\n"), "{said}");
}

#[test]
fn a_path_up_from_a_folder_that_is_not_there_is_refused() {
    let folder = folder();
    let output = hitchy(folder.path(), &["new", "missing/../shop"]);
    refused(&output, 1, &["missing/../shop", "not there"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_is_there_is_never_touched() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder")).expect("made");
    fs::write(at("file"), "text").expect("written");
    symlink("/nowhere/at/all", at("link")).expect("linked");
    for name in ["folder", "file", "link", "folder/"] {
        let output = hitchy(folder.path(), &["new", name]);
        refused(&output, 1, &[name, "is there already"]);
    }
    assert_eq!(names(folder.path()), ["file", "folder", "link"]);
    assert!(names(&at("folder")).is_empty());
    assert_eq!(fs::read_to_string(at("file")).expect("readable"), "text");
}

#[test]
fn a_name_that_cargo_would_refuse_is_refused_with_what_is_allowed() {
    let folder = folder();
    for (name, words) in [
        ("1st", "beginning with a letter"),
        ("two words", "digits, - and _"),
        ("services/föö", "letters (a to z)"),
        ("match", "Rust language"),
        ("test", "choose another name"),
        ("serde_json", "choose another name"),
        ("..", "hitchy new my-handler"),
        (".", "hitchy new my-handler"),
    ] {
        refused(&hitchy(folder.path(), &["new", name]), 2, &[words]);
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_unknown_language_is_refused_with_those_there_are() {
    let folder = folder();
    let output = hitchy(folder.path(), &["new", "mine", "--lang", "cobol"]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cobol") && said.contains("possible values: rust"),
        "{said}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_that_is_not_the_sdk_is_refused() {
    let folder = folder();
    for sdk in [".", "nowhere"] {
        let output = hitchy(folder.path(), &["new", "mine", "--sdk", sdk]);
        refused(&output, 2, &["hitchy-guest", "guest-sdk"]);
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn nothing_half_written_is_left_when_writing_fails() {
    let folder = folder();
    // The limit forbids any byte in a file: the folders can be created, but the first file cannot be written.
    let script = r#"trap "" XFSZ; ulimit -f 0; exec "$0" new services/mine"#;
    let output = program(Command::new("sh"), folder.path())
        .args(["-c", script])
        .arg(binary())
        .output()
        .expect("a shell starts");
    refused(&output, 1, &["services/mine", "nothing was written"]);
    assert!(names(folder.path()).is_empty());

    fs::write(folder.path().join("file"), "text").expect("written");
    let output = hitchy(folder.path(), &["new", "file/mine"]);
    refused(&output, 1, &["file/mine"]);
    assert_eq!(names(folder.path()), ["file"]);
    // No user can create a folder there, not even root.
    refused(
        &hitchy(folder.path(), &["new", "/proc/mine"]),
        1,
        &["/proc/mine"],
    );
}

#[test]
fn a_new_handler_stands_alone_inside_another_workspace() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("member/src")).expect("made");
    fs::write(folder.path().join("member/src/lib.rs"), "").expect("written");
    let member = "[package]\nname = \"member\"\nedition = \"2024\"\n";
    fs::write(folder.path().join("member/Cargo.toml"), member).expect("written");
    let manifest = folder.path().join("Cargo.toml");
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"member\"]\n";
    fs::write(&manifest, workspace).expect("written");
    let made = hitchy(folder.path(), &["new", "mine"]);
    assert!(!out(&made).contains("note:"), "{}", out(&made));
    assert_eq!(
        root_of(&folder.path().join("mine")),
        folder.path().join("mine")
    );
    assert_eq!(root_of(&folder.path().join("member")), folder.path());

    // The other workspace includes all its folders, so the new handler needs an `exclude` to stand alone.
    fs::write(&manifest, workspace.replace("\"member\"", "\"*\"")).expect("written");
    let made = hitchy(folder.path(), &["new", "other"]);
    assert!(
        out(&made).contains("add \"other\" to `exclude`"),
        "{}",
        out(&made)
    );
    let excluding = format!("{workspace}exclude = [\"mine\", \"other\"]\n");
    fs::write(&manifest, excluding.replace("[\"member\"]", "[\"*\"]")).expect("written");
    assert_eq!(
        root_of(&folder.path().join("other")),
        folder.path().join("other")
    );
    assert_eq!(root_of(&folder.path().join("member")), folder.path());
}

#[test]
fn near_the_sources_the_sdk_is_a_relative_path() {
    let near = TempDir::with_prefix_in("hitchy-", sources()).expect("a folder in the sources");
    let made = hitchy(near.path(), &["new", "mine"]);
    assert!(made.status.success(), "{}", err(&made));
    let mine = near.path().join("mine");
    let manifest = fs::read_to_string(mine.join("Cargo.toml")).expect("readable");
    assert!(
        manifest.contains("path = \"../../../guest-sdk\""),
        "{manifest}"
    );
    assert_eq!(root_of(&mine), mine);
}

/// Runs cargo in a new handler and returns its output. The dependencies are those of the examples, which are downloaded
/// already.
#[track_caller]
fn cargo_in(handler: &Path, target: &str, args: &[&str]) -> String {
    let output = cargo()
        .args(args)
        .arg("--offline")
        .current_dir(handler)
        .env("CARGO_TARGET_DIR", target_dir().join(target))
        .env_remove("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS")
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", err(&output));
    out(&output)
}

/// Returns the root of the workspace that cargo finds for a package.
#[track_caller]
fn root_of(package: &Path) -> PathBuf {
    let args = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = cargo_in(package, "examples", &args);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    metadata["workspace_root"].as_str().expect("a path").into()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Returns the names in a folder, including hidden files.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
