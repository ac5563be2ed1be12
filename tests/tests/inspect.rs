//! The commands `hitchy inspect` and `hitchy routes`: the contents of a file and the routes of a folder, in the
//! server's words.

use std::fs;

use hitchy_tests::commands::{err, folder, hitchy, json_of, out, refused};
use hitchy_tests::components::{self, ELF};
use hitchy_tests::{Server, guest, scripted};
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn a_good_handler_is_inspected_in_columns_and_as_json() {
    let folder = folder();
    fs::write(folder.path().join("probe.wasm"), guest("probe")).expect("written");
    let output = hitchy(folder.path(), &["inspect", "probe.wasm"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "probe.wasm: would be served",
        "hitchy:platform@0.1.1: setup, http",
        "component, written in Rust",
        "GET /hello/{name}",
        "before * /guarded",
        "event say of /chat",
        "connections of /hitchy",
        "128 KiB at the start",
        "hitchy:platform/sockets@0.1.1\n",
    ] {
        assert!(text.contains(words), "{words:?} is missing in: {text}");
    }

    let output = hitchy(
        folder.path(),
        &["inspect", "probe.wasm", "--output", "json"],
    );
    let report = json_of(&output);
    assert_eq!(report["accepted"], true);
    assert_eq!(report["error"], Value::Null);
    assert_eq!(report["kind"], "component");
    assert_eq!(report["contract"], "hitchy:platform@0.1.1");
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
    has("hooks", json!("/hitchy"));
    has("exports", json!("hitchy:platform/setup@0.1.1"));
    let log = "hitchy:platform/log@0.1.1";
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
        // A loop ends by the processor's time or by the clock's, depending on what else the machine does.
        let told = report["error"].as_str().expect("an error");
        let is_loop = *name == "loops" && told.starts_with("its describe failed: ");
        assert!(is_loop || told == cause, "{name}: {told}, not {cause}");
        assert_eq!(report["size"], bytes.len(), "{name}");
        let text = out(&hitchy(server.dir(), &["inspect", &file]));
        assert!(
            text.starts_with(&format!("{file}: refused: {cause}\n"))
                || (is_loop
                    && text.starts_with(&format!("{file}: refused: its describe failed: "))),
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
    // An error for a handler in another language does not mention Rust.
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
        table["hooks"],
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
    let cause = table["refused"][0]["error"].as_str().unwrap_or_default();
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

/// Creates a folder with these files in `handlers`.
fn with_handlers(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = folder();
    fs::create_dir(folder.path().join("handlers")).expect("made");
    for (name, bytes) in files {
        fs::write(folder.path().join("handlers").join(name), bytes).expect("written");
    }
    folder
}
