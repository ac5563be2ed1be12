//! The operator's settings for handlers: sidecars, sections of the settings, and handlers that are required.

use std::fs;

use hitchy_tests::wait::{SOON, until};
use hitchy_tests::{Server, expect, guest, scripted};

#[tokio::test]
async fn a_sidecar_grants_and_a_change_of_it_is_a_reload() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("faults.toml", "deadline = \"300ms\"")
        .start()
        .await;
    assert_eq!(server.get("/fault/sleep/3000").await.status, 504);
    let from = server.log().len();
    server.drop_in("faults.toml", "deadline = \"9s\"");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded"])
        .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    server.drop_in("faults.toml", "dedline = \"1s\"");
    expect::refused(
        &server,
        from,
        "faults.wasm",
        &["dedline", "deadline"],
        "still serving generation 2",
    )
    .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    server.remove("faults.toml");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded", "generation 3"])
        .await;
}

#[tokio::test]
async fn a_change_of_the_settings_reloads_whom_it_concerns() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .handler("faults.toml", "deadline = \"5s\"")
        .settings("[handler.faults]\ndeadline = \"300ms\"")
        .start()
        .await;
    assert_eq!(
        server.get("/fault/sleep/3000").await.status,
        504,
        "the settings win over the sidecar"
    );
    let settings = server.dir().join("hitchy.toml");
    let from = server.log().len();
    fs::write(&settings, "[handler.faults]\ndeadline = \"4s\"").expect("written");
    server
        .wait_for_log_from(from, &["faults.wasm: reloaded"])
        .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    let from = server.log().len();
    fs::write(&settings, "[handler.faults]\nnonsense = 1").expect("written");
    server.wait_for_log_from(from, &["nonsense"]).await;
    assert_eq!(
        server.get("/fault/sleep/1000").await.status,
        200,
        "what is wrong changes nothing"
    );
}

#[tokio::test]
async fn a_change_of_the_settings_is_not_lost_while_the_folder_cannot_be_read() {
    let server = Server::prepare()
        .handler("faults.wasm", guest("faults"))
        .settings("[limits]\ndeadline = \"5s\"")
        .start()
        .await;
    let (folder, away) = (server.handlers(""), server.dir().join("away"));
    fs::rename(&folder, &away).expect("renamed");
    server.wait_for_log(&["cannot be read"]).await;
    let settings = server.dir().join("hitchy.toml");
    fs::write(&settings, "[limits]\ndeadline = \"300ms\"").expect("written");
    server
        .wait_for_log(&["settings changed", "limits.deadline"])
        .await;
    assert_eq!(server.get("/fault/sleep/1000").await.status, 200);
    fs::rename(&away, &folder).expect("renamed");
    server.wait_for_log(&["readable again"]).await;
    server.wait_for_status("/fault/sleep/1000", 504).await;
}

#[tokio::test]
async fn required_guards_must_not_vanish() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .start()
        .await;
    expect::error(&server.get("/version").await, 503);
    expect::error(&server.get("/nobody").await, 503);
    server.wait_for_log(&["guard", "required"]).await;
    let script = "name guard\nbefore * /\nguard x-key\nconnection /";
    server.drop_in("guard.wasm", scripted(script));
    expect::failure(&server.wait_for_status("/version", 401).await, 401);
    let answer = server
        .request("GET", "/version", &[("x-key", "k")], b"")
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
    assert_eq!(answer.header("x-passed"), Some("guard:0"));
    let from = server.log().len();
    server.drop_in("guard.wasm", "no handler");
    expect::refused(
        &server,
        from,
        "guard.wasm",
        &[],
        "still serving generation 1",
    )
    .await;
    assert_eq!(
        server.get("/version").await.status,
        401,
        "the old guard still stands"
    );
    server.remove("guard.wasm");
    expect::error(&server.wait_for_status("/version", 503).await, 503);
}

#[tokio::test]
async fn l10_at_a_start_a_required_file_gets_its_route_whatever_its_name() {
    let server = Server::prepare()
        .handler("a.wasm", scripted("name a\nroute GET /same"))
        .handler("guard.wasm", scripted("name guard\nroute GET /same"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .start()
        .await;
    server
        .wait_for_log(&["a.wasm", "GET /same is already served by guard.wasm"])
        .await;
    assert_eq!(server.get("/same").await.status, 200);
}

#[tokio::test]
async fn i13_2_equal_files_are_compiled_once() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let plan = names.iter().fold(Server::prepare(), |plan, name| {
        let version = scripted("name same");
        plan.handler(&format!("{name}.wasm"), version)
    });
    let server = plan.console().start().await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("hitchy_compile_duration_seconds_count"), 1.0);
    for name in names {
        server
            .wait_for_log(&[&format!("{name}.wasm: loaded")])
            .await;
    }
}

#[tokio::test]
async fn required_guards_refuse_connections_while_they_are_absent() {
    let Some(node) = hitchy_tests::official_client().await else {
        return;
    };
    let server = Server::prepare()
        .handler("probe.wasm", guest("probe"))
        .settings("[handlers]\nrequired = [\"guard\"]")
        .start()
        .await;
    for namespace in ["/", "/hitchy", "/chat"] {
        let refused = node
            .connect_with(&server, namespace, serde_json::json!({}))
            .await;
        assert!(refused.is_err(), "{namespace} was open without its guard");
    }
    server.drop_in(
        "guard.wasm",
        scripted("name guard\nconnection /\nconnection /chat"),
    );
    let open = async || {
        node.connect_with(&server, "/", serde_json::json!({}))
            .await
            .is_ok()
    };
    until("the guard is there", SOON, open).await;
}

#[tokio::test]
async fn what_looks_like_a_parameter_of_another_framework_is_told() {
    let script = "name x\nroute GET /x/:id\nroute GET /y/{id}\nbefore * /api/*";
    let server = Server::with("x.wasm", scripted(script)).await;
    server
        .wait_for_log(&["WARN", "x.wasm: ", "/x/:id", "literally", "{id}"])
        .await;
    server
        .wait_for_log(&["WARN", "x.wasm: ", "/api/*", "literally"])
        .await;
    assert_eq!(server.get("/x/:id").await.status, 200, "and it is served");
    assert_eq!(server.get("/x/7").await.status, 404);
    let other = server
        .log()
        .find(0, |_, line| line.contains("WARN").then(|| line.to_owned()));
    assert!(other.is_some_and(|line| !line.contains("/y/")));
}

#[tokio::test]
async fn settings_of_a_handler_that_is_not_there_are_told_once() {
    let server = Server::prepare()
        .handler("chat.wasm", scripted("name chat\nroute GET /chat"))
        .handler("bad.wasm", "no handler")
        .settings("[handler.chatt]\nmemory = \"1MiB\"\n[handler.\"api/x\"]\ncpu = \"1s\"\n[handler.bad]\ncpu = \"1s\"")
        .start()
        .await;
    server
        .wait_for_log(&[
            "WARN",
            "hitchy.toml",
            "the handler chatt",
            "did you mean chat?",
        ])
        .await;
    server.wait_for_log(&["WARN", "the handler api/x"]).await;
    server.drop_in("end.wasm", scripted("name end\nroute GET /end"));
    server.wait_for_status("/end", 200).await;
    let warnings = |words: &str| {
        let lines = server.log().all();
        let told = |line: &&String| line.contains("WARN") && line.contains(words);
        lines.iter().filter(told).count()
    };
    assert_eq!(
        warnings("the handler chatt"),
        1,
        "once, not with each reload"
    );
    assert_eq!(warnings("bad.wasm"), 0, "its file is there");

    let from = server.log().len();
    let settings = server.dir().join("hitchy.toml");
    fs::write(&settings, "[handler.ent]").expect("written");
    server
        .wait_for_log_from(from, &["WARN", "the handler ent", "did you mean end?"])
        .await;
    // A name that disappears and comes back is reported again.
    let from = server.log().len();
    fs::write(&settings, "[handler.chatt]\ncpu = \"1s\"").expect("written");
    server
        .wait_for_log_from(from, &["WARN", "the handler chatt"])
        .await;
}

#[tokio::test]
async fn at_start_the_terminal_tells_how_many_files_were_refused() {
    let said = async |server: &Server, words: &'static str| {
        let has = |_, line: &str| line.contains(words).then_some(());
        server.out().wait(words, 0, SOON, has).await;
    };
    let server = Server::with("a.wasm", "no handler").await;
    said(&server, "handlers: 1 file was refused; the log says why").await;
    let advice = |_, line: &str| line.contains("copy a .wasm").then_some(());
    assert_eq!(server.out().find(0, advice), None);
    let server = Server::prepare()
        .handler("a.wasm", "no handler")
        .handler("b.wasm", "")
        .handler("v.wasm", guest("version_one"))
        .start()
        .await;
    said(&server, "handlers; 2 files were refused; the log says why").await;
    let server = Server::prepare().start().await;
    said(&server, "copy a .wasm or a .js there").await;
}
