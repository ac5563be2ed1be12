//! Configuration and secrets of handlers: who may read them, what a change does, and that secrets are shown nowhere.

use std::fs;

use hitchy_tests::clauses;
use hitchy_tests::clauses::Way;
use hitchy_tests::commands::{err, out, program};
use hitchy_tests::components::reading_config;
use hitchy_tests::server::{Plan, binary};
use hitchy_tests::stage::Stage;
use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, Socket, guest, scripted};
use serde_json::{Value, json};

clauses! {
    http request_websocket request_polling event_websocket event_polling:
        d06_a_handler_reads_only_its_own_configuration_and_secrets;
}

/// A value that no output may contain.
const VALUE: &str = "hunter2-value-of-a-secret";

/// A rescan that is short enough to wait for.
const RESCAN: &str = "[handlers]\nrescan = \"50ms\"\n";

/// Prepares a server with the guest `configured` and these settings of it.
fn configured(settings: &str) -> Plan {
    let plan = Server::prepare().handler("configured.wasm", guest("configured"));
    plan.settings(&format!("{RESCAN}[handler.configured]\n{settings}"))
}

/// Has the guest read something over HTTP.
async fn ask(server: &Server, read: Value) -> Value {
    let answer = server.post("/config", &read).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn config(server: &Server, key: &str) -> Value {
    ask(server, json!({ "read": "text", "key": key })).await
}

async fn wait_for_value(server: &Server, key: &str, value: &str) {
    let is_there = async || config(server, key).await == json!(value);
    until(&format!("{key} is {value}"), SOON, is_there).await;
}

/// Has the guest read something through the door of the test.
async fn ask_through(stage: &Stage, socket: Option<&Socket>, read: Value) -> Value {
    match (socket, stage.way) {
        (None, _) => ask(&stage.server, read).await,
        (Some(socket), Way::EventWebsocket | Way::EventPolling) => {
            socket.ask("config", json!([read])).await[0].clone()
        }
        (Some(socket), _) => {
            let request = json!([{ "method": "POST", "url": "/config", "body": read }]);
            socket.ask("request", request).await[0]["body"].clone()
        }
    }
}

async fn d06_a_handler_reads_only_its_own_configuration_and_secrets(way: Way) {
    let others = "config = { theirs = \"x\" }\nsecrets = [\"THEIRS\"]\n";
    let plan =
        configured("config = { greeting = \"hello\", retries = 3 }\nsecrets = [\"TOKEN\"]\n")
            .handler("other.wasm", scripted("route GET /other"))
            .handler("other.toml", others)
            .env("TOKEN", "t1")
            .env("THEIRS", "t2")
            .env("NOBODYS", "t3");
    let Some(stage) = Stage::set_with(way, plan).await else {
        return;
    };
    let socket = match way {
        Way::Http => None,
        Way::RequestWebsocket | Way::RequestPolling => Some(stage.connect("/hitchy").await),
        Way::EventWebsocket | Way::EventPolling => Some(stage.connect("/").await),
    };
    let all = ask_through(&stage, socket.as_ref(), json!({ "read": "all" })).await;
    assert_eq!(
        all,
        json!([["greeting", "hello"], ["retries", "3"], ["TOKEN", "t1"]])
    );
    for (key, value) in [
        ("greeting", json!("hello")),
        ("TOKEN", json!("t1")),
        ("theirs", Value::Null),
        ("THEIRS", Value::Null),
        ("NOBODYS", Value::Null),
        ("PATH", Value::Null),
    ] {
        let found = ask_through(
            &stage,
            socket.as_ref(),
            json!({ "read": "text", "key": key }),
        )
        .await;
        assert_eq!(found, value, "{key}");
    }
    let number = json!({ "read": "number", "key": "retries" });
    assert_eq!(ask_through(&stage, socket.as_ref(), number).await, json!(3));
    let wrong = json!({ "read": "number", "key": "TOKEN" });
    let error = ask_through(&stage, socket.as_ref(), wrong).await;
    assert_eq!(
        error["error"],
        "the configuration's `TOKEN` is not a value of type u32"
    );
}

#[tokio::test]
async fn i12_3_a_secret_may_be_in_a_file_and_a_changed_one_reloads_its_handler() {
    let plan = configured("secrets = [\"TOKEN\"]").file("token", "first\n");
    let path = plan.dir().join("token");
    let server = plan
        .env("TOKEN_FILE", path.to_str().expect("UTF-8"))
        .start()
        .await;
    assert_eq!(config(&server, "TOKEN").await, "first");

    fs::write(&path, "second\n").expect("written");
    wait_for_value(&server, "TOKEN", "second").await;
    server
        .wait_for_log(&[
            "configured.wasm: reloaded (its settings changed)",
            "generation 2",
        ])
        .await;

    // As secrets are replaced in a container: by a rename.
    let other = server.dir().join("other");
    fs::write(&other, "third").expect("written");
    fs::rename(&other, &path).expect("renamed");
    wait_for_value(&server, "TOKEN", "third").await;

    fs::remove_file(&path).expect("removed");
    let refused = [
        "configured.wasm: refused",
        "TOKEN cannot be read",
        "TOKEN_FILE",
        "still serving",
    ];
    server.wait_for_log(&refused).await;
    assert_eq!(config(&server, "TOKEN").await, "third");
    fs::write(&path, "fourth").expect("written");
    wait_for_value(&server, "TOKEN", "fourth").await;
}

#[tokio::test]
async fn i12_3_a_changed_value_reloads_its_handler_and_no_other() {
    let sidecar = |greeting: &str| format!("config = {{ greeting = \"{greeting}\" }}\n");
    let server = Server::prepare()
        .settings(RESCAN)
        .handler("configured.wasm", guest("configured"))
        .handler("configured.toml", sidecar("hello"))
        .handler("other.wasm", scripted("route GET /other"))
        .start()
        .await;
    assert_eq!(config(&server, "greeting").await, "hello");
    server.drop_in("configured.toml", sidecar("bonjour"));
    wait_for_value(&server, "greeting", "bonjour").await;

    let settings = server.dir().join("hitchy.toml");
    let section = format!("{RESCAN}[handler.configured.config]\ngreeting = \"servus\"\n");
    fs::write(settings, section).expect("written");
    wait_for_value(&server, "greeting", "servus").await;
    server
        .wait_for_log(&["settings changed: handler.configured.config"])
        .await;
    let reloads = server.log().all().join("\n");
    assert!(!reloads.contains("other.wasm: reloaded"), "{reloads}");
}

#[tokio::test]
async fn i12_3_a_handler_without_its_secret_is_refused_and_both_ways_to_set_it_are_said() {
    let server = configured("secrets = [\"TOKEN\"]").start().await;
    let words = [
        "configured.wasm: refused",
        "secret TOKEN is not set",
        "environment variable TOKEN",
        "TOKEN_FILE",
        "not served",
    ];
    server.wait_for_log(&words).await;
    assert_eq!(server.post("/config", &json!({})).await.status, 404);

    let twice = configured("secrets = [\"TOKEN\"]")
        .env("TOKEN", VALUE)
        .env("TOKEN_FILE", "/nowhere");
    let server = twice.start().await;
    let line = server
        .wait_for_log(&["configured.wasm: refused", "set twice"])
        .await;
    assert!(!line.contains(VALUE), "{line}");
}

#[tokio::test]
async fn i12_3_what_cannot_be_configuration_is_refused_with_its_place() {
    for (settings, words) in [
        (
            "config = { a = { b = 1 } }",
            &["handler.configured.config", "is not a table of strings"][..],
        ),
        (
            "config = { a = [1] }",
            &["handler.configured.config", "JSON"],
        ),
        (
            "config = { A = 1 }\nsecrets = [\"A\"]",
            &[
                "handler.configured.secrets",
                "names A",
                "also a key of config",
            ],
        ),
        (
            "secrets = [\"NOT-A-NAME\"]",
            &["handler.configured.secrets", "list of names"],
        ),
        (
            "secrets = { TOKEN = \"hunter2-value-of-a-secret\" }",
            &["handler.configured.secrets", "list of names"],
        ),
    ] {
        let ended = configured(settings).fail().await;
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        for word in words {
            assert!(
                ended.log.contains(word),
                "{word:?} is missing in: {}",
                ended.log
            );
        }
        assert!(!ended.log.contains(VALUE), "{}", ended.log);
    }
}

#[tokio::test]
async fn d06_a_secret_is_in_no_log_no_list_and_no_error() {
    let file = format!("{VALUE}-in-a-file");
    let settings = "config = { greeting = \"hello\" }\nsecrets = [\"TOKEN\", \"FILED\"]\n[log]\nlevel = \"trace\"";
    let plan = configured(settings).file("filed", &file).console();
    let path = plan.dir().join("filed");
    let path = path.to_str().expect("UTF-8").to_owned();
    let mut server = plan
        .env("TOKEN", VALUE)
        .env("FILED_FILE", &path)
        .start()
        .await;
    for (key, length) in [("TOKEN", VALUE.len()), ("FILED", file.len())] {
        let found = ask(&server, json!({ "read": "length", "key": key })).await;
        assert_eq!(found, json!(length), "{key}");
    }
    let wrong = json!({ "read": "number", "key": "TOKEN" });
    let mut shown = ask(&server, wrong).await.to_string();

    for page in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/handlers",
        "/api/routes",
        "/api/reloads",
        "/api/sockets",
    ] {
        let answer = server.ask_console(page).await;
        shown += &String::from_utf8_lossy(&answer.body);
    }
    assert!(
        shown.contains("\"secrets\":[\"FILED\",\"TOKEN\"]"),
        "{shown}"
    );
    for args in [
        &["serve", "--print-config"][..],
        &["inspect", "handlers/configured.wasm"],
        &["inspect", "handlers/configured.wasm", "--output", "json"],
        &["routes"],
        &["routes", "--output", "json"],
    ] {
        let mut command = program(std::process::Command::new(binary()), server.dir());
        let output = command
            .args(args)
            .env("TOKEN", VALUE)
            .env("FILED_FILE", &path)
            .output();
        let output = output.expect("hitchy starts");
        assert!(output.status.success(), "{args:?}: {}", err(&output));
        shown += &(out(&output) + &err(&output));
    }
    // A secret that has changed is refused, because it is too long: the error shows none of it.
    fs::write(&path, file.repeat(10_000)).expect("written");
    server
        .wait_for_log(&[
            "configured.wasm: refused",
            "FILED cannot be used",
            "more than 64 KiB",
        ])
        .await;
    fs::write(&path, &file).expect("written");
    server
        .wait_for_log(&["configured.wasm: is again what is served"])
        .await;
    shown += &String::from_utf8_lossy(&server.ask_console("/api/handlers").await.body);

    server.terminate();
    server.wait_for_end(SOON * 3).await;
    shown += &server.log().all().join("\n");
    shown += &server.out().all().join("\n");
    assert!(shown.contains("loaded, generation 1"), "the log is there");
    assert!(!shown.contains(VALUE), "{shown}");
}

#[tokio::test]
async fn i12_3_guests_of_other_hosts_find_the_interface_by_its_earlier_names_and_describe_reads_nothing()
 {
    for interface in [
        "wasi:config/store@0.2.0-rc.1",
        "wasi:config/store@0.2.0-draft-2024-09-27",
        "wasi:config/runtime@0.2.0-draft",
    ] {
        // The guest traps in `describe` unless reading fails there.
        let plan = Server::prepare().handler("reader.wasm", reading_config(interface));
        let server = plan
            .settings("[handler.reader]\nconfig = { key = \"value\" }")
            .start()
            .await;
        server.wait_for_log(&["reader.wasm: loaded"]).await;
    }
    let unknown = reading_config("wasi:config/store@0.2.0");
    let server = Server::with("reader.wasm", unknown).await;
    server
        .wait_for_log(&["reader.wasm: refused", "wasi:config/store@0.2.0"])
        .await;
}
