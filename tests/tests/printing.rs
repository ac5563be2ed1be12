//! What handlers built with the SDK print: whole lines in the log, with the handler's name and the call's id.

use hitchy_tests::components::imports;
use hitchy_tests::guests::example;
use hitchy_tests::http::Answer;
use hitchy_tests::{Server, expect, guest};

async fn printing() -> Server {
    Server::with("printing.wasm", guest("printing")).await
}

/// Waits for a line of this level and text, of the call that gave this answer.
async fn logged(server: &Server, answer: &Answer, level: &str, text: &str) {
    let id = answer
        .header("x-request-id")
        .expect("every answer has an id");
    let record = format!("{level} {text} handler=printing.wasm call={id}");
    server.wait_for_log(&[&record]).await;
}

#[tokio::test]
async fn what_is_printed_is_a_record_a_line_and_errors_are_warnings() {
    let server = printing().await;
    let answer = server.get("/print").await;
    assert_eq!(answer.text(), "printed");
    for (level, line) in [
        ("INFO", "out: first"),
        ("INFO", "out: second"),
        ("WARN", "error: a line in 3 pieces"),
        ("WARN", "error: without an end"),
    ] {
        logged(&server, &answer, level, line).await;
    }
}

#[tokio::test]
async fn g02_a_panic_of_the_sdk_is_in_the_log_with_its_place_and_words() {
    let server = printing().await;
    let answer = server.get("/panic").await;
    expect::failure(&answer, 500);
    logged(&server, &answer, "WARN", "the handler gave up").await;
    let id = answer
        .header("x-request-id")
        .expect("every answer has an id");
    server
        .wait_for_log(&["WARN", id, "panicked at", "src/lib.rs"])
        .await;
}

#[tokio::test]
async fn g21_what_the_sdk_prints_is_cut_and_the_log_says_so() {
    let server = printing().await;
    let answer = server.get("/print/1000000").await;
    assert_eq!(answer.text(), "printed");
    logged(
        &server,
        &answer,
        "INFO",
        " (the rest of this call's output is left out)",
    )
    .await;
    let kept: usize = server
        .log()
        .all()
        .iter()
        .map(|line| line.matches('x').count())
        .sum();
    assert!((8 << 10..=20 << 10).contains(&kept), "{kept} bytes of it");
    let lines = server.log().all();
    assert!(!lines.iter().any(|line| line.contains("never seen")));
}

#[tokio::test]
async fn l12_files_are_there_for_the_linker_and_nobody_else() {
    let server = printing().await;
    let answer = server.get("/read").await;
    expect::failure(&answer, 500);
    let id = answer
        .header("x-request-id")
        .expect("every answer has an id");
    server
        .wait_for_log(&["printing.wasm", id, "os error"])
        .await;
}

/// Each fresh instance pays for every import.
#[test]
fn a_handler_that_does_nothing_with_the_system_imports_little_of_it() {
    let imports = imports(&example("hello"));
    let system: Vec<&str> = imports
        .iter()
        .filter_map(|name| name.strip_prefix("wasi:")?.split('@').next())
        .collect();
    assert_eq!(system, ["cli/environment", "cli/exit"]);
}
