//! `hitchy new`, `hitchy inspect` and `hitchy routes`, and the command line as a whole: through the real program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use hitchy_tests::components::{self, ELF};
use hitchy_tests::guests::example;
use hitchy_tests::raw::RawClient;
use hitchy_tests::server::binary;
use hitchy_tests::{Server, cargo, guest, scripted, sources, target_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs `hitchy` in a folder to its end.
fn hitchy(folder: &Path, args: &[&str]) -> Output {
    program(Command::new(binary()), folder)
        .args(args)
        .output()
        .expect("hitchy starts")
}

/// A command of the test in a folder, without settings from outside.
fn program(mut command: Command, folder: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HITCHY_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).env("NO_COLOR", "1");
    command
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that it ended with this code and one sentence that has these words, and printed nothing else.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = err(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(out(output), "", "nothing but the sentence");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    assert!(said.starts_with("error: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[track_caller]
fn json_of(output: &Output) -> Value {
    let text = out(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", err(output)))
}

fn folder() -> TempDir {
    TempDir::with_prefix("hitchy-").expect("a temporary folder can be made")
}

/// Everything that lies in a folder, hidden files as well.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Runs cargo in a new handler, and gives back what it said. Dependencies are those of the examples, which are there already.
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

    // The flag for the small stack is in its own settings of cargo.
    let inspected = hitchy(folder.path(), &["inspect", path(&wasm), "--output", "json"]);
    let report = json_of(&inspected);
    assert_eq!(report["hints"], json!([]));
    assert!(
        report["memory"]["initial"].as_u64() < Some(1 << 20),
        "{report}"
    );
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
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
    // Its settings are in order as they are, and with the examples in them taken out of the comments.
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
fn a_language_without_a_template_is_refused_and_an_unknown_one_with_those_there_are() {
    let folder = folder();
    for lang in ["js", "python", "c"] {
        let output = hitchy(folder.path(), &["new", "mine", "--lang", lang]);
        refused(&output, 2, &[lang, "only for rust", "wit/"]);
    }
    let output = hitchy(folder.path(), &["new", "mine", "--lang", "cobol"]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cobol") && said.contains("rust, js, python, c"),
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
    // No file may have a byte: the folders can be made, the first file cannot be written.
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
    // Nobody may make a folder there, whoever runs the tests.
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

    // Where the other workspace takes in what lies in it, nobody stands alone until it is told.
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

    let far = folder();
    hitchy(
        far.path(),
        &[
            "new",
            "mine",
            "--sdk",
            path(&sources().join("../guest-sdk")),
        ],
    );
    let manifest = fs::read_to_string(far.path().join("mine/Cargo.toml")).expect("readable");
    assert!(manifest.contains("path = \"/"), "{manifest}");
}

/// The root of the workspace that cargo finds for a package.
#[track_caller]
fn root_of(package: &Path) -> std::path::PathBuf {
    let args = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = cargo_in(package, "examples", &args);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    metadata["workspace_root"].as_str().expect("a path").into()
}

#[test]
fn a_good_handler_is_inspected_in_columns_and_as_json() {
    let folder = folder();
    fs::write(folder.path().join("probe.wasm"), guest("probe")).expect("written");
    let output = hitchy(folder.path(), &["inspect", "probe.wasm"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "probe.wasm: would be served",
        "hitchy:platform@0.1.0: setup, http",
        "component, written in Rust",
        "GET /hello/{name}",
        "before * /guarded",
        "event say of /chat",
        "connections of /hitchy",
        "128 KiB at the start",
        "hitchy:platform/sockets@0.1.0\n",
    ] {
        assert!(text.contains(words), "{words:?} is missing in: {text}");
    }

    let output = hitchy(
        folder.path(),
        &["inspect", "probe.wasm", "--output", "json"],
    );
    let report = json_of(&output);
    assert_eq!(report["accepted"], true);
    assert_eq!(report["refusal"], Value::Null);
    assert_eq!(report["kind"], "component");
    assert_eq!(report["contract"], "hitchy:platform@0.1.0");
    assert_eq!(report["size"], guest("probe").len());
    assert!(report["compileMs"].is_u64(), "{report}");
    let has = |list: &str, item: Value| {
        let items = report[list].as_array().expect(list);
        assert!(
            items.contains(&item),
            "{item} is missing in {list}: {report}"
        );
    };
    has(
        "routes",
        json!({ "method": "GET", "path": "/hello/{name}" }),
    );
    has(
        "policies",
        json!({ "stage": "before", "method": "*", "prefix": "/guarded" }),
    );
    has("listeners", json!({ "namespace": "/chat", "event": "say" }));
    has("connections", json!("/hitchy"));
    has("exports", json!("hitchy:platform/setup@0.1.0"));
    let log = "hitchy:platform/log@0.1.0";
    has(
        "imports",
        json!({ "interface": log, "standing": "granted" }),
    );
}

#[tokio::test]
async fn a_refused_file_is_refused_in_the_words_of_the_server() {
    let whole = guest("version_one");
    let files = [
        ("empty", Vec::new()),
        ("text", b"just some text".to_vec()),
        ("program", ELF.to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("core", components::core_command()),
        ("command", components::command()),
        ("no-setup", components::without_setup()),
        ("forgotten", components::rust_without_export()),
        ("unknown", components::importing("nobody:home/thing@1.2.3")),
        ("route-only", components::route_without_http()),
        ("traps", components::describing("unreachable")),
        ("loops", components::describing("(loop (br 0))")),
        ("twice", scripted("route GET /same\nroute GET /same")),
        ("greedy", guest("version_two")),
    ];
    let mut plan = Server::prepare().file("handlers/greedy.toml", "memory = \"64KiB\"");
    for (name, bytes) in &files {
        plan = plan.handler(&format!("{name}.wasm"), bytes);
    }
    let server = plan.start().await;
    for (name, bytes) in &files {
        let line = server
            .wait_for_log(&[&format!("{name}.wasm: refused: ")])
            .await;
        let cause = line.split_once("refused: ").expect("a refusal").1;
        let cause = cause.strip_suffix("; not served").expect("not served");
        let file = format!("handlers/{name}.wasm");
        let output = hitchy(server.dir(), &["inspect", &file, "--output", "json"]);
        let report = json_of(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert_eq!(report["accepted"], false, "{report}");
        assert_eq!(report["refusal"].as_str(), Some(cause), "{name}");
        assert_eq!(report["size"], bytes.len(), "{name}");
        let text = out(&hitchy(server.dir(), &["inspect", &file]));
        assert!(
            text.starts_with(&format!("{file}: refused: {cause}\n")),
            "{text}"
        );
    }
    let report = |name: &str| {
        let file = format!("handlers/{name}.wasm");
        json_of(&hitchy(
            server.dir(),
            &["inspect", &file, "--output", "json"],
        ))
    };
    assert_eq!(report("core")["kind"], "core-module");
    assert_eq!(report("text")["kind"], Value::Null);
    let unknown = json!({ "interface": "nobody:home/thing@1.2.3", "standing": "unknown" });
    let imports = report("unknown")["imports"].clone();
    assert!(
        imports.as_array().expect("imports").contains(&unknown),
        "{imports}"
    );
}

#[tokio::test]
async fn a_component_of_rust_that_exports_nothing_is_refused_with_the_line_that_is_missing() {
    let server = Server::with("mine.wasm", components::rust_without_export()).await;
    let words = [
        "mine.wasm: refused",
        "hitchy_guest::export!(app)",
        "not served",
    ];
    server.wait_for_log(&words).await;
    // Whoever writes in another language is not told of Rust.
    server.drop_in("other.wasm", components::without_setup());
    let line = server.wait_for_log(&["other.wasm: refused", "wit/"]).await;
    assert!(!line.contains("hitchy_guest"), "{line}");
}

#[test]
fn what_makes_a_handler_slow_or_useless_is_hinted() {
    let folder = folder();
    let large = components::rust_with_a_large_stack();
    fs::write(folder.path().join("large.wasm"), &large).expect("written");
    fs::write(folder.path().join("large.part"), &large).expect("written");
    let text = out(&hitchy(folder.path(), &["inspect", "large.wasm"]));
    for hint in [
        "hint: its stack has 1 MiB",
        "-zstack-size=65536",
        "hint: it declares nothing",
    ] {
        assert!(text.contains(hint), "{hint:?} is missing in: {text}");
    }
    assert!(!text.contains("end in .wasm"), "{text}");
    let text = out(&hitchy(folder.path(), &["inspect", "large.part"]));
    assert!(text.contains("end in .wasm"), "{text}");
}

#[test]
fn what_is_no_file_cannot_be_inspected() {
    let folder = folder();
    refused(
        &hitchy(folder.path(), &["inspect", "none.wasm"]),
        2,
        &["none.wasm", "No such file"],
    );
    refused(&hitchy(folder.path(), &["inspect", "."]), 2, &["directory"]);
    fs::write(folder.path().join("hitchy.toml"), "[limits]\nmemmory = 1").expect("written");
    refused(
        &hitchy(folder.path(), &["inspect", "none.wasm"]),
        2,
        &["limits.memory"],
    );
}

/// A folder whose `handlers` holds these.
fn with_handlers(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = folder();
    fs::create_dir(folder.path().join("handlers")).expect("made");
    for (name, bytes) in files {
        fs::write(folder.path().join("handlers").join(name), bytes).expect("written");
    }
    folder
}

#[test]
fn routes_are_printed_by_path_and_the_rest_in_the_order_in_which_it_runs() {
    let a = "route POST /b\nroute GET /b\nroute  /a/{x}\nafter GET /b\nbefore GET /b\nlistener / say\nconnection /";
    let b = "route GET /a\nbefore GET /\nlistener /x say\nlistener / say";
    let folder = with_handlers(&[("a.wasm", scripted(a)), ("b.wasm", scripted(b))]);
    let output = hitchy(folder.path(), &["routes"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
    assert_eq!(
        out(&output),
        "\
routes
  GET   /a      b.wasm
  *     /a/{x}  a.wasm
  GET   /b      a.wasm
  POST  /b      a.wasm
policies
  before  GET  /b  a.wasm
  before  GET  /   b.wasm
  after   GET  /b  a.wasm
listeners
  /   say  a.wasm
  /   say  b.wasm
  /x  say  b.wasm
connection hooks
  /  a.wasm
"
    );
    let table = json_of(&hitchy(folder.path(), &["routes", "--output", "json"]));
    assert_eq!(
        table["routes"][1],
        json!({ "method": "*", "path": "/a/{x}", "handler": "a.wasm" })
    );
    let policy = json!({ "stage": "before", "method": "GET", "prefix": "/b", "handler": "a.wasm" });
    assert_eq!(table["policies"][0], policy);
    let listener = json!({ "namespace": "/x", "event": "say", "handler": "b.wasm" });
    assert_eq!(table["listeners"][2], listener);
    assert_eq!(
        table["connections"],
        json!([{ "namespace": "/", "handler": "a.wasm" }])
    );
    assert_eq!(table["refused"], json!([]));
}

#[test]
fn conflicts_and_refused_files_are_told_in_the_words_of_the_server() {
    let folder = with_handlers(&[
        ("a.wasm", scripted("route GET /same/{x}")),
        ("b.wasm", scripted("route GET /same/{y}\nroute GET /other")),
        ("c.wasm", scripted("route GET /c")),
        ("d.wasm", ELF.to_vec()),
    ]);
    fs::create_dir(folder.path().join("handlers/e.wasm")).expect("made");
    fs::write(folder.path().join("handlers/c.toml"), "memmory = 1").expect("written");
    let settings = "[handlers]\nrequired = [\"auth\"]";
    fs::write(folder.path().join("other.toml"), settings).expect("written");
    let args = ["routes", "--config", "other.toml"];
    let output = hitchy(folder.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), "routes\n  GET  /same/{x}  a.wasm\n");
    let said = err(&output);
    let lines: Vec<&str> = said.lines().collect();
    for (index, words) in [
        "b.wasm: refused: route GET /same/{y} is already served by a.wasm",
        "c.wasm: refused: ",
        "d.wasm: refused: this is native code",
        "e.wasm: refused: it is a folder",
        "auth.wasm is required",
    ]
    .iter()
    .enumerate()
    {
        let line = lines.get(index).copied().unwrap_or_default();
        assert!(line.starts_with(words), "{words:?} is missing in: {said}");
    }
    assert_eq!(lines.len(), 5, "{said}");

    let output = hitchy(folder.path(), &[&args[..], &["--output", "json"]].concat());
    let table = json_of(&output);
    assert_eq!(table["refused"][0]["file"], "b.wasm");
    let cause = table["refused"][0]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("already served by a.wasm"), "{table}");
    assert_eq!(table["missing"], json!(["auth"]));
}

#[test]
fn a_missing_folder_of_routes_is_said_as_serve_says_it() {
    let folder = folder();
    let said = err(&hitchy(folder.path(), &["routes", "--handlers", "none"]));
    assert!(said.contains("none does not exist"), "{said}");
    assert_eq!(
        said,
        err(&hitchy(folder.path(), &["serve", "--handlers", "none"]))
    );
}

#[test]
fn an_empty_folder_has_no_routes() {
    let folder = with_handlers(&[]);
    let output = hitchy(folder.path(), &["routes"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        out(&output).starts_with("no handlers in "),
        "{}",
        out(&output)
    );
}

#[test]
fn without_a_command_the_help_is_printed_and_an_unknown_one_is_compared() {
    let folder = folder();
    let output = hitchy(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("Usage: hitchy <COMMAND>"),
        "{}",
        err(&output)
    );
    let output = hitchy(folder.path(), &["serv"]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("'serv'") && said.contains("'serve'"),
        "{said}"
    );
}

#[test]
fn every_command_says_in_a_line_what_it_does_and_has_examples() {
    let folder = folder();
    let help = out(&hitchy(folder.path(), &["--help"]));
    let listed = help.split("Commands:").nth(1).expect("a list of commands");
    let listed = listed.split("Options:").next().unwrap_or_default();
    let mut commands = 0;
    // A long summary goes on in the next line, further in.
    let is_command = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    for line in listed.lines().filter(is_command) {
        let (name, summary) = line.trim().split_once(' ').expect("a name and a summary");
        assert!(!summary.trim().is_empty(), "{line}");
        if name == "help" {
            continue;
        }
        commands += 1;
        let help = out(&hitchy(folder.path(), &[name, "--help"]));
        assert!(
            help.contains(&format!("Examples:\n  hitchy {name}")),
            "{help}"
        );
    }
    assert!(commands >= 5, "{help}");
}
