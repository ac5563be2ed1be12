//! Printed text of handlers that use the SDK: complete lines in the log, with the handler's name and the call's id.

use hitchy_tests::guests::{example, imports};
use hitchy_tests::http::Answer;
use hitchy_tests::{Server, expect, guest};

async fn printing() -> Server {
    Server::prepare()
        .handler("printing.wasm", guest("printing"))
        .settings("[limits]\nmemory = \"16MiB\"\ndeadline = \"2s\"\ncpu = \"1s\"")
        .start()
        .await
}

fn id(answer: &Answer) -> &str {
    answer
        .header("x-request-id")
        .expect("every answer has an id")
}

/// Waits for a log line with this level and text, from the call that gave this answer.
async fn logged(server: &Server, answer: &Answer, level: &str, text: &str) {
    let record = format!("{level} {text} handler=printing.wasm call={}", id(answer));
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
async fn what_has_no_line_end_is_logged_however_the_call_ends() {
    let mut server = printing().await;
    for (end, status) in [("trap", 500), ("deadline", 504)] {
        let answer = server.get(&format!("/print/part/{end}")).await;
        expect::failure(&answer, status);
        let line = format!("error: just before the {end}");
        logged(&server, &answer, "WARN", &line).await;
    }
    server.assert_unharmed();
}

#[tokio::test]
async fn g07_a_handler_without_memory_can_still_say_so() {
    let mut server = printing().await;
    let answer = server.get("/print/part/memory").await;
    expect::failure(&answer, 500);
    server
        .wait_for_log(&["WARN", "memory allocation of", id(&answer)])
        .await;
    server.assert_unharmed();
}

#[tokio::test]
async fn g02_a_panic_is_in_the_log_with_its_place_and_words() {
    let server = printing().await;
    let answer = server.get("/panic").await;
    expect::failure(&answer, 500);
    logged(&server, &answer, "WARN", "the handler gave up").await;
    server
        .wait_for_log(&["WARN", id(&answer), "panicked at", "src/lib.rs"])
        .await;
    // The trap's line is the last line of the call. Rust's advice to set a variable is left out, because guests have no
    // environment.
    server.wait_for_log(&["ERROR", id(&answer), "trap"]).await;
    let advice = server
        .log()
        .find(0, |_, line| line.contains("RUST_BACKTRACE").then_some(()));
    assert_eq!(advice, None);
}

#[tokio::test]
async fn g21_what_is_printed_is_cut_and_the_log_says_so() {
    let server = printing().await;
    let answer = server.get("/print/1000000").await;
    assert_eq!(answer.text(), "printed");
    server
        .wait_for_log(&["(the rest of this call's output is left out)", id(&answer)])
        .await;
    // The output of a later call follows.
    let later = server.get("/print").await;
    logged(&server, &later, "INFO", "out: first").await;
    let lines = server.log().all();
    let of_call = || lines.iter().filter(|line| line.contains(id(&answer)));
    let kept: usize = of_call().map(|line| line.matches('x').count()).sum();
    assert!((15 << 10..=17 << 10).contains(&kept), "{kept} bytes of it");
    assert!(!of_call().any(|line| line.contains("never seen")));
}

#[tokio::test]
async fn l12_files_are_there_for_the_linker_and_nobody_else() {
    let server = printing().await;
    let answer = server.get("/read").await;
    expect::failure(&answer, 500);
    server
        .wait_for_log(&["printing.wasm", id(&answer), "os error"])
        .await;
}

/// Counts the imports, because each fresh instance pays for every import.
#[test]
fn a_handler_that_asks_nothing_of_the_system_imports_little_of_it() {
    let mut system = imports(&example("hello"));
    system.retain(|name| name.starts_with("wasi:"));
    assert_eq!(system, ["wasi:cli/environment", "wasi:cli/exit"]);
}

#[tokio::test]
async fn d01_a_value_that_the_sdk_keeps_lasts_for_one_call_by_default() {
    let server = Server::with("typed.wasm", guest("typed")).await;
    for _ in 0..3 {
        let answer = server.get("/instance").await;
        assert_eq!(answer.text(), r#"["Call",0,1]"#);
    }
}

#[tokio::test]
async fn d03_a_value_that_the_sdk_keeps_lasts_as_long_as_a_shared_instance() {
    let server = Server::prepare()
        .handler("typed.wasm", guest("typed"))
        .handler("typed.toml", "instances = \"shared\"\nmax-instances = 1")
        .start()
        .await;
    for wanted in [
        r#"["Shared",0,1]"#,
        r#"["Shared",1,2]"#,
        r#"["Shared",2,3]"#,
    ] {
        assert_eq!(server.get("/instance").await.text(), wanted);
    }
}

#[test]
fn i13_1_only_a_handler_that_asks_for_its_instance_imports_the_interface() {
    let asks = |component: Vec<u8>| {
        let imports = imports(&component);
        imports.contains(&"hitchy:platform/instances".to_owned())
    };
    assert!(asks(guest("typed")));
    assert!(!asks(example("hello")));
}
