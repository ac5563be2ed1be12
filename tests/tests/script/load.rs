//! Scripts that cannot be loaded: the sentence names the place, and the old version serves on.

use hitchy_tests::Server;

const GOOD: &str = "app.get('/v', () => 'one');";

/// Saves a bad version over a good one, waits for the sentence and checks that the good one answers.
async fn refused(bad: impl AsRef<[u8]>, words: &[&str]) -> String {
    let server = Server::with("v.js", GOOD).await;
    server.drop_in("v.js", bad);
    let words = [&["v.js", "still serving generation 1"], words].concat();
    let line = server.wait_for_log(&words).await;
    assert_eq!(server.get("/v").await.text(), "one");
    line
}

#[tokio::test]
async fn i14_6_a_syntax_error_names_line_and_column() {
    let line = refused("app.get('/v', () => 'two');\nlet x = ;\n", &["SyntaxError"]).await;
    assert!(line.contains("v.js:2:"), "{line}");
    assert!(line.contains("let x = ;"), "{line}");
}

#[tokio::test]
async fn i14_6_a_throw_at_load_names_its_place() {
    let bad = "function f() {\n  throw new Error('broken');\n}\n\nf();\n";
    refused(bad, &["v.js:2:", "Error: broken", "v.js:5:"]).await;
}

#[tokio::test]
async fn i14_6_loops_and_memory_at_load_are_refused() {
    refused("for (;;);", &["on the processor"]).await;
    refused(
        "const all = []; for (;;) all.push(new Uint8Array(1 << 20));",
        &["memory"],
    )
    .await;
    refused("await new Promise(() => {});", &["nothing settles"]).await;
}

#[tokio::test]
async fn i14_1_what_is_too_large_or_no_text_or_declares_nothing_is_refused() {
    let large = format!("{GOOD}\n//{}", "x".repeat(1 << 20));
    refused(large, &["a script may have 1048576"]).await;
    refused(b"app.get('/v', () => '\xff');", &["not UTF-8"]).await;
    refused("const nothing = 1;", &["it declares nothing"]).await;
    refused("app.get('/v');", &["app.get takes a function"]).await;
    refused("import x from './gone.js';", &["gone.js"]).await;
    refused("import x from 'lodash';", &["lodash", "bundle"]).await;
}

#[tokio::test]
async fn i14_2_listeners_are_found_by_running_the_callback_once() {
    let bad = "io.on('connection', socket => {\n  socket.on('a', () => 1);\n  undefined.x;\n});";
    refused(bad, &["to find its listeners", "v.js:3:"]).await;
}
