//! Handlers in other languages, from `hitchy new` to an answer: one handler, written in each, behind one test of all
//! doors.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hitchy_tests::commands::{err, folder, hitchy, out, program, refused};
use hitchy_tests::covered::{Part, covers};
use hitchy_tests::http::Connection;
use hitchy_tests::raw::{Packet, RawClient};
use hitchy_tests::server::binary;
use hitchy_tests::{Server, sources, toolchains};
use serde_json::{Value, json};

/// The name of the handlers. Other packages of the target folder for wasm have other names, because cargo gives two
/// libraries of one name the same file.
const NAME: &str = "greeter";

/// The memory of an instance.
const MEMORY: &str = "32MiB";

/// A language, as `hitchy new --lang` takes it.
struct Language {
    name: &'static str,
    /// The end of the name of the handler's file.
    end: &'static str,
    /// Words by which `hitchy inspect` names the kind of file.
    kind: &'static str,
    /// The command that runs the tests of a new handler, once it was built. Empty for Rust, whose tests
    /// `tests/new.rs` runs.
    tests: &'static [&'static str],
    /// Words that this command prints.
    passed: &'static str,
    /// Settings with which a kept instance lasts.
    settings: &'static str,
    /// True if the handler refuses a message without a text.
    refuses_empty: bool,
}

const RUST: Language = Language {
    name: "rust",
    end: "wasm",
    kind: "component, written in Rust",
    tests: &[],
    passed: "",
    settings: "",
    refuses_empty: true,
};
const JAVASCRIPT: Language = Language {
    name: "js",
    end: "js",
    kind: "JavaScript",
    tests: &["node", "--test"],
    passed: "pass 2",
    settings: "",
    refuses_empty: true,
};
const TYPESCRIPT: Language = Language {
    name: "ts",
    end: "ts",
    kind: "TypeScript",
    ..JAVASCRIPT
};
const PYTHON: Language = Language {
    name: "python",
    end: "wasm",
    kind: "component, written in Python",
    tests: &[".venv/bin/python", "-m", "unittest"],
    passed: "Ran 2 tests",
    // What the server passes to a call is not freed: docs/python.md.
    settings: "max-calls = 1000",
    refuses_empty: true,
};
const C: Language = Language {
    name: "c",
    end: "wasm",
    kind: "core module, adapted",
    tests: &["sh", "test.sh"],
    passed: "2 passed",
    settings: "",
    refuses_empty: false,
};
const GO: Language = Language {
    name: "go",
    end: "wasm",
    kind: "core module, adapted, written in Go",
    tests: &["go", "test", "./greeting"],
    passed: "ok",
    settings: "",
    refuses_empty: true,
};

#[tokio::test]
async fn i14_9_hello_in_rust_answers_through_all_doors() {
    answers_through_all_doors(&RUST).await;
}

#[tokio::test]
async fn i14_9_hello_in_javascript_answers_through_all_doors() {
    answers_through_all_doors(&JAVASCRIPT).await;
}

#[tokio::test]
async fn i14_9_hello_in_typescript_answers_through_all_doors() {
    answers_through_all_doors(&TYPESCRIPT).await;
}

#[tokio::test]
async fn i14_9_hello_in_python_answers_through_all_doors() {
    answers_through_all_doors(&PYTHON).await;
}

#[tokio::test]
async fn i14_9_hello_in_c_answers_through_all_doors() {
    answers_through_all_doors(&C).await;
}

#[tokio::test]
async fn i14_9_hello_in_go_answers_through_all_doors() {
    answers_through_all_doors(&GO).await;
}

/// Makes a handler, builds it, runs its tests, serves it with the settings that it came with, and asks it.
async fn answers_through_all_doors(language: &Language) {
    let Some(environment) = toolchains::environment(language.name) else {
        return;
    };
    let folder = folder();
    let made = hitchy(folder.path(), &["new", NAME, "--lang", language.name]);
    assert!(made.status.success(), "{}", err(&made));
    let project = folder.path().join(NAME);
    if language.name == "rust" {
        let lock = sources().join("../examples/Cargo.lock");
        fs::copy(lock, project.join("Cargo.lock")).expect("copied");
    }
    let run = |command: Command, arguments: &[&str]| -> Output {
        let mut command = program(command, &project);
        command.args(arguments).envs(environment.iter().cloned());
        command.env("HITCHY", binary());
        command.output().expect("a program starts")
    };
    let built = run(Command::new(binary()), &["build"]);
    assert!(built.status.success(), "{}\n{}", out(&built), err(&built));
    if let [test, arguments @ ..] = language.tests {
        let tested = run(Command::new(found(test, &project)), arguments);
        let said = out(&tested) + &err(&tested);
        assert!(tested.status.success(), "{said}");
        assert!(said.contains(language.passed), "{said}");
    }
    // Python's interpreter takes long to compile, so that is done once.
    let cache = folder.path().join("cache").display().to_string();
    let cached = |arguments: &[&str]| {
        let mut command = program(Command::new(binary()), &project);
        command.args(arguments).env("HITCHY_CACHE__DIR", &cache);
        out(&command.output().expect("hitchy starts"))
    };
    let file = format!("handlers/{NAME}.{}", language.end);
    let routes = cached(&["routes"]);
    assert!(routes.contains("/api/hello/{name}"), "{routes}");
    let inspected = cached(&["inspect", &file]);
    assert!(inspected.contains("event chat:say"), "{inspected}");
    assert!(inspected.contains(language.kind), "{inspected}");
    assert!(!inspected.contains("hint:"), "{inspected}");

    let wasm = fs::read(project.join(&file)).expect("built");
    let settings = fs::read_to_string(project.join("hitchy.toml")).expect("written");
    let is_kept = settings.contains("\ninstances = \"shared\"");
    let life = if is_kept { "shared" } else { "call" };
    for (life, more) in [("call", ""), (life, kept(life, language))] {
        let server = Server::prepare()
            .handler(&format!("{NAME}.{}", language.end), &wasm)
            .file(
                &format!("handlers/{NAME}.toml"),
                format!("instances = \"{life}\"\nmemory = \"{MEMORY}\"\n{more}"),
            )
            .env("HITCHY_CACHE__DIR", &cache)
            .start()
            .await;
        ask(&server, language).await;
        if life == "shared" {
            ask_often(&server).await;
        }
    }
}

/// Returns the settings of a language for a life longer than a call.
fn kept(life: &str, language: &Language) -> &'static str {
    if life == "call" {
        return "";
    }
    language.settings
}

/// Returns a program of the project by its path, and another one by its name.
fn found(program: &str, project: &Path) -> String {
    if program.contains('/') {
        return project.join(program).display().to_string();
    }
    program.to_owned()
}

/// Asks until the requests together are larger than the memory of the instance, which has to let go of each.
async fn ask_often(server: &Server) {
    let name = "a".repeat(8_000);
    let target = format!("/api/hello/{name}");
    let mut connection = Connection::open(server.addr()).await;
    for turn in 0..5_000 {
        let answer = connection.ask("GET", &target, &[], b"").await;
        assert_eq!(answer.status, 200, "call {turn}: {answer:?}");
    }
}

/// Asks the handler over HTTP, by `request` over a socket, and by an event that it acks and tells everyone about.
async fn ask(server: &Server, language: &Language) {
    let hello = json!({ "hello": "A\"da" });
    for _ in 0..3 {
        let answer = server.get("/api/hello/A%22da").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), hello);
    }
    let mut asking = RawClient::connect("websocket", server.addr(), "/hitchy").await;
    let request = json!(["request", { "url": "/api/hello/A%22da" }]);
    asking
        .send(format!("42/hitchy,1{request}"))
        .await
        .expect("sent");
    let answer = asking.ack("/hitchy,1").await.expect("an answer");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        (&answer[0]["statusCode"], &answer[0]["body"]),
        (&json!(200), &hello),
        "{answer}"
    );

    let mut ada = RawClient::connect("websocket", server.addr(), "/").await;
    let mut bob = RawClient::connect("websocket", server.addr(), "/").await;
    let message = json!({ "from": "Ada", "text": "hi" });
    let packet = json!(["chat:say", message]).to_string();
    for id in ["1", "2", "3"] {
        let ack = ada.ask(id, &packet).await.expect("an ack");
        assert_eq!(ack, r#"["told everyone"]"#);
        let Packet::Text(said) = bob.next().await.expect("an event") else {
            panic!("bytes");
        };
        let said: Value = serde_json::from_str(&said[2..]).expect("JSON");
        assert_eq!(said, json!(["chat:said", message]));
    }
    if language.refuses_empty {
        let empty = json!(["chat:say", { "from": "Ada", "text": "" }]).to_string();
        let ack = ada.ask("4", &empty).await.expect("an ack");
        let ack: Value = serde_json::from_str(&ack).expect("JSON");
        assert_eq!(ack[0]["error"]["code"], 400, "{ack}");
    }
    let parts = [Part::Http, Part::Request, Part::Event, Part::Broadcast];
    covers(language.name, &parts);
}

#[test]
fn i14_8_the_package_for_python_passes_its_own_tests() {
    if toolchains::environment("python").is_none() {
        return;
    }
    let package = sources().join("../guest-sdk/python");
    let tested = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", "tests"])
        .current_dir(package)
        .output()
        .expect("python3 starts");
    assert!(tested.status.success(), "{}", err(&tested));
    assert!(err(&tested).contains("Ran 24 tests"), "{}", err(&tested));
}

#[test]
fn i14_8_the_package_for_python_carries_the_contract() {
    let (ours, carried) = (
        sources().join("../wit"),
        sources().join("../guest-sdk/python/hitchy/wit"),
    );
    for below in ["", "deps"] {
        let names = |folder: &Path| {
            let files = fs::read_dir(folder.join(below)).expect("a folder");
            let mut names: Vec<_> = files
                .map(|file| file.expect("a file").file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            names(&ours),
            names(&carried),
            "copy wit/ to guest-sdk/python/hitchy/wit"
        );
        for name in names(&ours).iter().filter(|name| *name != "deps") {
            let text = |folder: &Path| fs::read(folder.join(below).join(name)).expect("readable");
            assert!(
                text(&ours) == text(&carried),
                "copy {name:?} to guest-sdk/python/hitchy/wit"
            );
        }
    }
}

#[test]
fn i14_8_the_contract_and_its_bindings_are_written_as_files() {
    let folder = folder();
    let written = hitchy(folder.path(), &["bindings", "wit", "contract"]);
    assert!(written.status.success(), "{}", err(&written));
    let path = folder.path().join("contract/deps/http.wit");
    let ours = fs::read(sources().join("../wit/deps/http.wit")).expect("readable");
    assert!(fs::read(path).expect("written") == ours);

    let written = hitchy(
        folder.path(),
        &["bindings", "c", "c", "--exports", "http,schedules"],
    );
    assert!(written.status.success(), "{}", err(&written));
    let header = fs::read_to_string(folder.path().join("c/handler.h")).expect("written");
    assert!(
        header.contains("exports_hitchy_platform_schedules_on_schedule"),
        "{header}"
    );
    assert!(
        !header.contains("exports_hitchy_platform_events_on_event"),
        "{header}"
    );

    let output = hitchy(folder.path(), &["bindings", "go", "bindings"]);
    refused(&output, 1, &["go.mod", "go mod init"]);
    let output = hitchy(folder.path(), &["bindings", "go", "../up"]);
    refused(&output, 1, &["../up", "below"]);
    assert!(!folder.path().join("bindings").exists());
}

#[test]
fn i14_8_a_missing_compiler_is_one_sentence_with_the_command_that_installs_it() {
    for (language, words) in [
        (
            "python",
            ["python3 is missing", "apt-get install python3 python3-venv"],
        ),
        ("c", ["clang-19 is missing", "apt-get install clang-19"]),
        ("go", ["go is missing", "https://go.dev/dl"]),
    ] {
        let folder = folder();
        let made = hitchy(folder.path(), &["new", "hello", "--lang", language]);
        assert!(made.status.success(), "{}", err(&made));
        // The setup makes the bindings with this program alone.
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).expect("made");
        std::os::unix::fs::symlink("/bin/sh", tools.join("sh")).expect("linked");
        let built = program(Command::new(binary()), &folder.path().join("hello"))
            .arg("build")
            .env("PATH", &tools)
            .output()
            .expect("hitchy starts");
        assert_eq!(built.status.code(), Some(1), "{}", err(&built));
        for word in words {
            let lines = err(&built);
            let found = lines.lines().filter(|line| line.contains(word)).count();
            assert_eq!(found, 1, "{word:?} in {lines}");
        }
        let left = folder.path().join("hello/handlers/hello.wasm");
        assert!(!left.exists(), "{language}");
    }
}

#[test]
fn i14_7_a_template_that_a_language_lacks_is_refused_with_those_it_has() {
    let folder = folder();
    let output = hitchy(
        folder.path(),
        &["new", "mine", "--lang", "go", "--template", "cron"],
    );
    refused(
        &output,
        2,
        &["there is no template cron in Go", "only hello"],
    );
    // The words of Rust are names like any other.
    let made = hitchy(folder.path(), &["new", "match", "--lang", "c"]);
    assert!(made.status.success(), "{}", err(&made));
    assert!(out(&made).contains("sh test.sh"), "{}", out(&made));
}
