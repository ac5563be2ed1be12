//! Commands that are served by CGI: HTTP by variables, standard input and standard output, and events as JSON.

use hitchy_tests::commands::{hitchy, json_of};
use hitchy_tests::guests::core_guest;
use hitchy_tests::node::binary;
use hitchy_tests::{Server, components, expect, guest, official_client, scripted, storing};
use serde_json::json;

const CGI: &str = "serve = \"cgi\"";

/// Starts a server with the command `report`, as a core module, at `/tools/report`.
async fn report(settings: &str) -> Server {
    Server::prepare()
        .handler("tools/report.wasm", core_guest("report"))
        .file("handlers/tools/report.toml", settings)
        .start()
        .await
}

#[tokio::test]
async fn i12_7_a_command_answers_at_the_path_of_its_file() {
    let server = report(CGI).await;
    for (target, text) in [
        ("/tools/report", "report of \"\""),
        ("/tools/report/a%20b/c", "report of \"/a b/c\""),
        ("/tools/report/zero", "left early"),
        ("/tools/report/count", "1"),
        ("/tools/report/count", "1"),
    ] {
        let answer = server.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert!(answer.text().starts_with(text), "{target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/plain"));
    }
    assert_eq!(server.get("/tools/reporter").await.status, 404);
    let teapot = server.get("/tools/report/teapot").await;
    assert_eq!(
        (teapot.status, teapot.text().as_str()),
        (418, "short and stout")
    );
    assert_eq!(teapot.header("x-made-by"), Some("a command"));
    for (path, location) in [("away", "https://example.com/there"), ("near", "/near/by")] {
        let answer = server.get(&format!("/tools/report/{path}")).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.header("location"), Some(location));
    }
    let report = json_of(&hitchy(server.dir(), &["routes", "--output", "json"]));
    assert!(
        report.to_string().contains("/tools/report/{*rest}"),
        "{report}"
    );
}

#[tokio::test]
async fn i12_7_a_component_that_is_a_command_is_served_too_and_an_index_answers_its_folder() {
    let server = Server::prepare()
        .handler("tools/index.wasm", guest("report"))
        .handler("other.wasm", scripted("name other\nroute GET /tools/own"))
        .settings("[handler.\"tools/index\"]\nserve = \"cgi\"")
        .start()
        .await;
    assert!(server.get("/tools").await.text().starts_with("report of"));
    assert!(server.get("/tools/x").await.text().contains("\"/x\""));
    // A route that a handler declares is more exact than the path of a file.
    assert_eq!(server.get("/tools/own").await.json()["name"], "other");
}

#[tokio::test]
async fn i12_7_files_go_before_a_command_that_answers_all_the_rest() {
    let server = Server::prepare()
        .handler("index.wasm", core_guest("report"))
        .handler("index.toml", CGI)
        .file("public/index.html", "the first page")
        .file("public/page.html", "a page")
        .settings("[server]\nfallback = \"page.html\"")
        .start()
        .await;
    for (target, text) in [
        ("/", "the first page"),
        ("/page.html", "a page"),
        ("/else", "report of \"/else\""),
    ] {
        let answer = server.get(target).await;
        assert!(answer.text().starts_with(text), "{target}: {answer:?}");
    }
    let posted = server.request("POST", "/", &[], b"").await;
    assert!(posted.text().starts_with("report of"), "{posted:?}");
    std::fs::remove_file(server.dir().join("public/index.html")).expect("removed");
    server.wait_for_body("/", "report of").await;
}

#[tokio::test]
async fn i12_7_the_variables_are_those_of_cgi_and_none_deceives_the_program() {
    let server = report(CGI).await;
    let headers = [
        ("content-type", "text/x-test"),
        ("x-thing", "one"),
        ("x-thing", "two"),
        ("x_thing", "three"),
        ("proxy", "http://evil.example"),
        ("cookie", "a=b"),
        ("host", "shop.example:8080"),
    ];
    let answer = server
        .request(
            "POST",
            "/tools/report/variables?q=1&r=%20",
            &headers,
            b"12345",
        )
        .await;
    let text = answer.text();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_NAME=shop.example",
        "SERVER_PORT=8080",
        "REQUEST_METHOD=POST",
        "REQUEST_URI=/tools/report/variables?q=1&r=%20",
        "SCRIPT_NAME=/tools/report",
        "PATH_INFO=/variables",
        "QUERY_STRING=q=1&r=%20",
        "REMOTE_ADDR=127.0.0.1",
        "CONTENT_TYPE=text/x-test",
        "CONTENT_LENGTH=5",
        "HTTP_X_THING=one, two",
        "HTTP_COOKIE=a=b",
    ] {
        assert!(
            text.lines().any(|other| other == line),
            "{line} is missing in:\n{text}"
        );
    }
    assert!(
        !text.contains("HTTP_PROXY") && !text.contains("three"),
        "{text}"
    );
    let body: Vec<u8> = (0..200_000_u32).map(|byte| byte as u8).collect();
    let answer = server
        .request("POST", "/tools/report/body", &[], &body)
        .await;
    assert!(answer.body == body, "a body passes unchanged");
}

#[tokio::test]
async fn i12_7_a_command_that_fails_is_answered_and_logged() {
    let mut server = report("serve = \"cgi\"\ncpu = \"300ms\"").await;
    for (path, status, words) in [
        (
            "no-head",
            502,
            "its output has the line \"hello\" in its head",
        ),
        ("nothing", 502, "its output has no head"),
        ("exit", 500, "the command exited with an error"),
        ("panic", 500, "trap"),
        ("long", 502, "server.answer-limit"),
        ("loop", 504, "limits.cpu"),
    ] {
        let from = server.log().len();
        let answer = server.get(&format!("/tools/report/{path}")).await;
        expect::failure(&answer, status);
        server
            .wait_for_log_from(from, &["tools/report.wasm", words])
            .await;
    }
    server.wait_for_log(&["WARN", "something is wrong"]).await;
    server.wait_for_log(&["WARN", "as it was asked to"]).await;
    assert_eq!(server.get("/tools/report").await.status, 200);
    server.assert_unharmed();
}

#[tokio::test]
async fn i12_7_a_command_answers_requests_and_events_of_sockets() {
    let Some(node) = official_client().await else {
        return;
    };
    let events = "serve = \"cgi\"\nevents = [\"say\", \"silent\", \"two\", \"exit\", \"garbage\", \"/chat say\"]";
    let server = report(events).await;
    let hitchy = node.connect(&server, "/hitchy").await;
    let answer = hitchy
        .ask("request", json!([{ "url": "/tools/report/x" }]))
        .await;
    assert_eq!(answer[0]["statusCode"], 200, "{answer}");
    let socket = node.connect(&server, "/").await;
    let ack = socket.ask("say", json!(["hi", { "a": [1] }])).await;
    assert_eq!(ack[0]["event"], "say", "{ack}");
    assert_eq!(ack[0]["args"], json!(["hi", { "a": [1] }]), "{ack}");
    assert_eq!(ack[0]["namespace"], "/", "{ack}");
    assert_eq!(ack[0]["ackWanted"], true, "{ack}");
    assert_eq!(ack[0]["attachments"], json!([]), "{ack}");
    assert!(ack[0]["socket"].is_string(), "{ack}");
    assert_eq!(socket.ask("silent", json!([])).await, json!([]));
    assert_eq!(socket.ask("two", json!([])).await, json!([1, "two"]));
    expect::failed_ack(&socket.ask("exit", json!([])).await, 500);
    expect::failed_ack(&socket.ask("garbage", json!([])).await, 502);
    expect::failed_ack(&socket.ask("unknown", json!([])).await, 404);
    let chat = node.connect(&server, "/chat").await;
    let ack = chat.ask("say", json!([])).await;
    assert_eq!(ack[0]["namespace"], "/chat", "{ack}");
}

#[tokio::test]
async fn i12_7_a_command_without_the_setting_is_refused_and_the_setting_is_followed_live() {
    let server = Server::with("report.wasm", core_guest("report")).await;
    let words = ["command", "serve = \"cgi\""];
    expect::refused(&server, 0, "report.wasm", &words, "not served").await;
    server.drop_in("report.toml", CGI);
    server.wait_for_status("/report", 200).await;
    server.drop_in("report.toml", "serve = \"cgi\"\nevents = [\"/hitchy say\"]");
    server
        .wait_for_log(&["report.wasm", "reserved for requests"])
        .await;
    // A library is no command, and says so.
    let from = server.log().len();
    server.drop_in("lib.toml", CGI);
    server.drop_in("lib.wasm", guest("version_one"));
    expect::refused(
        &server,
        from,
        "lib.wasm",
        &["serve = \"cgi\"", "commands"],
        "not served",
    )
    .await;
    let from = server.log().len();
    server.drop_in("core.toml", CGI);
    server.drop_in("core.wasm", components::core_module(""));
    expect::refused(&server, from, "core.wasm", &["_start"], "not served").await;
    let from = server.log().len();
    server.drop_in("wrong.toml", "serve = \"scgi\"");
    server.drop_in("wrong.wasm", core_guest("report"));
    expect::refused(
        &server,
        from,
        "wrong.wasm",
        &["serve", "scgi"],
        "not served",
    )
    .await;
}

#[tokio::test]
async fn i12_7_a_command_sees_what_policies_found_out_and_binary_arguments_in_base64() {
    let server = Server::prepare()
        .handler("guarded/report.wasm", core_guest("report"))
        .file(
            "handlers/guarded/report.toml",
            "serve = \"cgi\"\nevents = [\"say\"]",
        )
        .handler("probe.wasm", guest("probe"))
        .start()
        .await;
    let headers = [("x-token", "open")];
    let answer = server
        .request("GET", "/guarded/report/variables", &headers, b"")
        .await;
    let context = "HITCHY_CONTEXT={\"by\":\"guard\"}";
    assert!(answer.text().contains(context), "{answer:?}");
    let Some(node) = official_client().await else {
        return;
    };
    let socket = node.connect(&server, "/").await;
    let ack = socket.ask("say", json!([binary(&[1, 2, 3])])).await;
    assert_eq!(ack[0]["attachments"], json!(["AQID"]), "{ack}");
}

#[tokio::test]
async fn i12_7_events_without_serve_are_told() {
    let server = Server::prepare()
        .handler("storing.wasm", storing(""))
        .handler("storing.toml", "events = [\"say\"]")
        .start()
        .await;
    server
        .wait_for_log(&["WARN", "storing.wasm", "`events`", "serve = \"cgi\""])
        .await;
}
