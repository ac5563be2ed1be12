//! What a script could make the server do while it is loaded: long names, long errors, many holes in its memory.

use hitchy_tests::Server;

/// Saves a script that is refused, and returns the line of the log.
async fn refusal(server: &Server, script: &str, words: &[&str]) -> String {
    let from = server.log().len();
    server.drop_in("v.js", script);
    let words = [&["v.js: refused"], words].concat();
    server.wait_for_log_from(from, &words).await
}

#[tokio::test]
async fn i14_5_names_and_errors_of_any_length_are_cut() {
    let server = Server::with("ok.js", "app.get('/ok', () => 'ok');").await;
    let long = "'x'.repeat(5e6)";
    for (script, words) in [
        (format!("await import('./' + {long});"), "cannot import"),
        (
            format!("throw new Error(`Could not find export '${{{long}}}' in module './ok.js'`);"),
            "v.js:1:",
        ),
        (format!("throw new Error({long});"), "v.js:1:"),
        (
            format!(
                "import {{ none }} from './_many.js'; /*{}*/",
                "export {".repeat(1000)
            ),
            "exports no none",
        ),
    ] {
        server.drop_in(
            "_many.js",
            format!("// {}", "export {a,a,a,".repeat(70_000)),
        );
        let line = refusal(&server, &script, &[words]).await;
        assert!(line.len() < 10_000, "{} bytes: {script:.80}", line.len());
        server.remove("v.js");
        assert_eq!(server.get("/ok").await.text(), "ok");
    }
}

#[tokio::test]
async fn i14_1_a_memory_with_many_holes_is_kept() {
    let script = "const bytes = new Uint8Array(13e6);\n\
                  for (let at = 0; at < bytes.length; at += 128) bytes[at] = 1;\n\
                  app.get('/v', () => `${bytes.reduce((sum, byte) => sum + byte, 0)}`);";
    let server = Server::with("v.js", script).await;
    assert_eq!(server.get("/v").await.text(), "101563");
}

#[tokio::test]
async fn i14_5_a_comment_that_looks_like_an_import_is_no_reason() {
    let server = Server::prepare()
        .handler("_wip.ts", "const = ;")
        .handler("v.js", "// import './_wip.ts';\napp.get('/v', () => 'v');")
        .start()
        .await;
    assert_eq!(server.get("/v").await.text(), "v");
}

#[tokio::test]
async fn i14_5_the_first_error_is_told_and_not_an_import_that_was_caught() {
    let server = Server::with("ok.js", "app.get('/ok', () => 'ok');").await;
    let script = "await import('./_none.js').catch(() => 0);\nthrow new Error('boom');";
    refusal(&server, script, &["v.js:2:", "Error: boom"]).await;
    for (package, words) in [
        ("socket.io", "import { io } from"),
        ("express", "import { app } from"),
        ("node:fs", "modules of Node"),
    ] {
        let script = format!("import one from '{package}';");
        refusal(&server, &script, &["v.js:1:", words]).await;
    }
    let script = "\nimport { aap } from 'hitchy';";
    refusal(
        &server,
        script,
        &["v.js:2:", "hitchy exports no aap", "did you mean app?"],
    )
    .await;
}

#[tokio::test]
async fn i14_3_what_is_begun_at_the_top_ends_with_the_loading() {
    let script = "setInterval(() => {}, 10);\nPromise.reject(new Error('lost'));\n\
                  io.on('connection', socket => { socket.on('e', () => {}) });\napp.get('/v', () => 'v');";
    let server = Server::with("v.js", script).await;
    server
        .wait_for_log(&["loading v.js has ended", "1 timer", "app.every"])
        .await;
    server.wait_for_log(&["nothing handles it", "lost"]).await;
    let from = server.log().len();
    for _ in 0..3 {
        assert_eq!(server.get("/v").await.text(), "v");
    }
    let more = server.log().all().split_off(from);
    assert!(!more.iter().any(|line| line.contains("WARN")), "{more:?}");
}

#[tokio::test]
async fn i14_2_a_default_export_in_typescript_and_a_body_that_is_passed_on() {
    let script = "export default { async fetch(request: Request): Promise<Response> {\n\
                  const first = new Response(request.body, { status: 201 });\n\
                  return new Response(first.body, first);\n} };";
    let server = Server::with("shop.ts", script).await;
    let answer = server.request("POST", "/shop/x", &[], b"body").await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "body"));
}

#[tokio::test]
async fn i14_6_json_that_is_nested_too_deeply_is_an_error_and_ends_no_call() {
    let script = "app.post('/v', c => { try { return typeof c.json() } catch (error) { return error.message } });\n\
                  app.post('/w', c => c.json());\n\
                  app.get('/own', () => { try { JSON.parse('['.repeat(200_000)) } catch (error) { return error.name } });";
    let server = Server::with("v.js", script).await;
    let (deep, fine) = (
        "[".repeat(5500),
        format!("{}{}", "[".repeat(900), "]".repeat(900)),
    );
    let ask = async |path: &str, body: &str| {
        let answer = server.request("POST", path, &[], body.as_bytes()).await;
        (answer.status, answer.text())
    };
    let (status, text) = ask("/v", &deep).await;
    assert!(status == 200 && text.contains("deeper than 1000"), "{text}");
    assert_eq!(ask("/w", &deep).await.0, 400);
    assert_eq!(ask("/v", &fine).await, (200, "object".to_owned()));
    assert_eq!(server.get("/own").await.text(), "SyntaxError");
}

#[tokio::test]
async fn i14_2_what_cannot_be_meant_is_an_error_that_says_so() {
    let script = "app.get('/code', () => { throw new Failure(99, 'x') });\n\
                  app.post('/form', c => c.form());\n\
                  app.get('/nested', () => kv.update('a', () => kv.update('b', () => 1)));\n\
                  app.get('/after', () => kv.update('c', () => 'c'));\n\
                  app.get('/timer', async () => { await new Promise(go => setTimeout(go, Infinity)); return 'at once' });";
    let server = Server::with("v.js", script).await;
    assert_eq!(server.get("/code").await.status, 500);
    server.wait_for_log(&["v.js:1:", "from 400 to 599"]).await;
    let kind = [("content-type", "multipart/form-data; boundary=a")];
    assert_eq!(
        server
            .request("POST", "/form", &kind, b"--a--")
            .await
            .status,
        415
    );
    assert_eq!(server.get("/nested").await.status, 500);
    server.wait_for_log(&["v.js:3:", "another kv.update"]).await;
    assert_eq!(server.get("/after").await.text(), "c");
    assert_eq!(server.get("/timer").await.text(), "at once");
}
