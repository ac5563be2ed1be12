//! `hitchy kv` and the console's list of buckets.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hitchy_tests::commands::{err, hitchy, out, program, refused};
use hitchy_tests::console::page;
use hitchy_tests::http;
use hitchy_tests::server::binary;
use hitchy_tests::wait::SOON;
use hitchy_tests::{Server, storing};
use serde_json::json;

/// Runs `hitchy kv` with a standard input.
fn with_input(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = program(Command::new(binary()), folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hitchy starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("written");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn done(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    out(&output)
}

#[tokio::test]
async fn i12_1_kv_works_on_the_files_when_no_server_runs() {
    let folder = hitchy_tests::commands::folder();
    let kv = |args: &[&str]| hitchy(folder.path(), &[&["kv"], args].concat());
    assert_eq!(done(kv(&["list"])), "nothing is stored\n");
    assert!(!folder.path().join("data").exists());
    refused(&kv(&["get", "shop", "k"]), 1, &["no such key"]);
    done(kv(&["set", "shop", "k", "one"]));
    done(kv(&["set", "api/b", "../k", "two"]));
    done(with_input(
        folder.path(),
        &["kv", "set", "shop", "binary"],
        &[0, 255, 10],
    ));
    assert_eq!(done(kv(&["get", "shop", "k"])), "one");
    assert_eq!(kv(&["get", "shop", "binary"]).stdout, [0, 255, 10]);
    assert_eq!(done(kv(&["list", "shop"])), "binary\nk\n");
    let buckets = done(kv(&["list"]));
    assert!(
        buckets.contains("shop") && buckets.lines().count() == 3,
        "{buckets}"
    );
    let export = done(kv(&["export"]));
    assert_eq!(export.lines().count(), 3, "{export}");
    assert!(
        export.contains(r#"{"bucket":"shop","key":"binary","base64":"AP8K"}"#),
        "{export}"
    );
    let other = hitchy_tests::commands::folder();
    for _ in 0..2 {
        let said = done(with_input(
            other.path(),
            &["kv", "import"],
            export.as_bytes(),
        ));
        assert_eq!(said, "3 keys were set\n");
    }
    assert_eq!(done(hitchy(other.path(), &["kv", "export"])), export);
    assert_eq!(done(kv(&["export", "api/b"])).lines().count(), 1);
    done(kv(&["delete", "shop", "k"]));
    refused(&kv(&["delete", "shop", "k"]), 1, &["no such key"]);
    done(kv(&["delete", "--all", "shop"]));
    assert!(!done(kv(&["list"])).contains("shop"));
}

#[tokio::test]
async fn i12_1_an_import_names_the_line_that_is_wrong() {
    let folder = hitchy_tests::commands::folder();
    let good = r#"{"bucket":"a","key":"k","value":"v"}"#;
    let other = r#"{"bucket":"b","key":"k","value":"v"}"#;
    let text = "v".repeat((1 << 20) + 1);
    let large = format!(r#"{{"bucket":"a","key":"k","value":"{text}"}}"#);
    for (line, word) in [
        ("no json", "line 2"),
        (r#"{"bucket":"a","key":"k"}"#, "line 2: a key has either"),
        (r#"{"bucket":"a","key":"k","base64":"%"}"#, "line 2"),
        (
            r#"{"bucket":"","key":"k","value":"v"}"#,
            "line 2: \"\" cannot be the name",
        ),
        (r#"{"bucket":"a","key":"k","value":"v","ttl":1}"#, "ttl"),
        (&large, "line 2: the value has 1048577 bytes"),
    ] {
        // The line after the wrong one begins another batch.
        let input = format!("{good}\n{line}\n{other}\n");
        let output = with_input(folder.path(), &["kv", "import"], input.as_bytes());
        refused(&output, 1, &[word]);
    }
    let missing = hitchy(folder.path(), &["kv", "import", "none.jsonl"]);
    refused(&missing, 2, &["none.jsonl"]);
    let long = "k".repeat(1025);
    refused(
        &hitchy(folder.path(), &["kv", "set", "a", &long, "v"]),
        1,
        &["1024"],
    );
}

#[tokio::test]
async fn i12_1_an_import_that_fails_as_a_whole_names_its_lines() {
    let folder = hitchy_tests::commands::folder();
    let line = |key: &str| format!(r#"{{"bucket":"a","key":"{key}","value":"v"}}"#);
    let input = format!("{}\n\n{}\n{}\n", line("1"), line("2"), line("3"));
    fs::write(folder.path().join("hitchy.toml"), "[kv]\nmax-keys = 2").expect("written");
    let output = with_input(folder.path(), &["kv", "import"], input.as_bytes());
    refused(&output, 1, &["standard input, lines 1 to 4", "kv.max-keys"]);
}

#[test]
fn i12_1_settings_that_cannot_be_read_are_told_once() {
    let folder = hitchy_tests::commands::folder();
    let output = hitchy(folder.path(), &["kv", "list", "--config", "none.toml"]);
    refused(&output, 2, &["none.toml"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("No such file").count(), 1, "{text}");
}

#[tokio::test]
async fn i12_1_kv_asks_the_running_server_and_the_console_lists_buckets() {
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .settings("")
        .console()
        .start()
        .await;
    let console = server.console().to_string();
    let kv = |args: &[&str]| {
        let mut command = program(Command::new(binary()), server.dir());
        command
            .env("HITCHY_ADMIN__LISTEN", &console)
            .arg("kv")
            .args(args);
        command.output().expect("hitchy starts")
    };
    let set = server
        .post("/kv", &json!([["open", ""], ["set", "k", "of the guest"]]))
        .await;
    assert!(!set.text().contains("error"), "{set:?}");
    assert_eq!(done(kv(&["get", "a", "k"])), "of the guest");
    done(kv(&["set", "a", "k", "of the operator"]));
    let got = server
        .post("/kv", &json!([["open", ""], ["get", "k"]]))
        .await;
    assert_eq!(got.json()[1]["ok"], "of the operator");
    let long = "k".repeat(2000);
    refused(&kv(&["set", "a", &long, "v"]), 1, &["1024"]);
    let buckets = page(&server, "/api/buckets").await;
    assert_eq!(
        buckets,
        json!({ "buckets": [{ "name": "a", "keys": 1, "bytes": 16 }] })
    );
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_kv_buckets"), 1.0);
    assert_eq!(metrics.value("hitchy_kv_degraded"), 0.0);
    assert!(metrics.value("hitchy_kv_operations_total{kind=\"write\"}") >= 2.0);
    assert!(metrics.value("hitchy_kv_commits_total") >= 2.0);
    // A console of another server would be the wrong one.
    let other = Server::prepare().console().start().await;
    let mut wrong = program(Command::new(binary()), server.dir());
    wrong.env("HITCHY_ADMIN__LISTEN", other.console().to_string());
    let output = wrong
        .args(["kv", "get", "a", "k"])
        .output()
        .expect("hitchy starts");
    refused(&output, 1, &["--config"]);
    let mut off = program(Command::new(binary()), server.dir());
    off.env("HITCHY_ADMIN__LISTEN", "off");
    let output = off
        .args(["kv", "get", "a", "k"])
        .output()
        .expect("hitchy starts");
    refused(&output, 1, &["admin.listen"]);
}

#[tokio::test]
async fn g22_no_web_page_can_write_through_the_console() {
    let server = Server::prepare().settings("").console().start().await;
    let folder = server.dir().join("data");
    let body = json!({
        "folder": folder,
        "command": { "do": "set", "bucket": "a", "pairs": [["k", "dg=="]] },
    });
    let body = body.to_string();
    let json_type = ("content-type", "application/json");
    for (method, headers, status) in [
        ("POST", vec![("content-type", "text/plain")], 415),
        ("POST", vec![], 415),
        ("POST", vec![json_type, ("origin", "http://evil.test")], 403),
        ("POST", vec![json_type, ("origin", "null")], 403),
        (
            "POST",
            vec![json_type, ("x-forwarded-for", "192.0.2.7")],
            403,
        ),
        ("POST", vec![json_type, ("via", "1.1 proxy")], 403),
        ("POST", vec![json_type, ("host", "evil.test")], 403),
        ("OPTIONS", vec![("origin", "http://evil.test")], 403),
        ("GET", vec![], 405),
    ] {
        let answer = http::ask(
            server.console(),
            method,
            "/api/kv",
            &headers,
            body.as_bytes(),
        )
        .await;
        assert_eq!(answer.status, status, "{method} {headers:?}: {answer:?}");
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    assert!(!folder.exists());
    let answer = http::ask(
        server.console(),
        "POST",
        "/api/kv",
        &[json_type],
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for wrong in [
        "",
        "{}",
        "[",
        "{\"folder\":\"x\",\"command\":{\"do\":\"buckets\"}}",
    ] {
        let answer = http::ask(
            server.console(),
            "POST",
            "/api/kv",
            &[json_type],
            wrong.as_bytes(),
        )
        .await;
        assert!([400, 409].contains(&answer.status), "{wrong}: {answer:?}");
    }
}

#[tokio::test]
async fn i12_1_after_a_rename_the_log_names_the_orphaned_bucket_once() {
    let server = Server::with("old.wasm", storing("")).await;
    server
        .post("/kv", &json!([["open", ""], ["set", "k", "v"]]))
        .await;
    server.rename("old.wasm", "new.wasm");
    let line = server
        .wait_for_log(&["bucket old", "no handler uses it"])
        .await;
    assert!(line.contains("bucket = \"old\""), "{line}");
    // Another reload does not repeat it, and a handler that gets the bucket ends it.
    server.drop_in("other.wasm", storing("/other"));
    server.wait_for_status("/other/describe/refused", 200).await;
    server.drop_in("new.toml", "bucket = \"old\"");
    hitchy_tests::wait::until("the new file has the bucket", SOON * 2, async || {
        let got = server
            .post("/kv", &json!([["open", ""], ["get", "k"]]))
            .await;
        got.json()[1]["ok"] == "v"
    })
    .await;
    let told = server.log().all();
    let told = told
        .iter()
        .filter(|line| line.contains("no handler uses it"));
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn i12_1_a_bucket_that_was_made_by_hand_is_not_called_renamed_only() {
    let folder = hitchy_tests::commands::folder();
    let made = hitchy(folder.path(), &["kv", "set", "hand", "k", "v"]);
    assert!(made.status.success(), "{}", err(&made));
    let data = folder.path().join("data");
    let server = Server::prepare()
        .handler("a.wasm", storing(""))
        .env("HITCHY_KV__PATH", data.to_str().expect("UTF-8"))
        .start()
        .await;
    server
        .wait_for_log(&["bucket hand", "no handler uses it", "hitchy kv made it"])
        .await;
}
