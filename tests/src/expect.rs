//! Assertions about refusals and failures that the host itself reports: in answers, in acks and in log lines.

use serde_json::Value;

use crate::door;
use crate::http::Answer;
use crate::server::Server;

/// Asserts that the answer is a refusal by the host, through any door, and returns its sentence. The body is `{error,
/// code, id}` with no other fields, and the header `x-request-id` contains the same id.
///
/// # Panics
/// Panics if the answer has another form.
#[track_caller]
pub fn refusal(answer: &door::Answer, status: u16) -> String {
    let id = of_call(answer, status);
    let body = answer.body.as_object().expect("an error is an object");
    let mut keys: Vec<_> = body.keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "error", "id"], "call {id}: {body:?}");
    body["error"].as_str().unwrap_or_default().to_owned()
}

/// Asserts that the answer is an error of a call, through any door, and returns the id of the call. The body may have
/// fields beside `{error, code, id}`, such as data.
///
/// # Panics
/// Panics if the answer has another form.
#[track_caller]
pub fn of_call(answer: &door::Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = &answer.body;
    assert_eq!(body["code"], status, "the code is the status: {answer:?}");
    let message = body["error"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "an error has a message: {answer:?}");
    assert_no_internals(message);
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{answer:?}");
    let id = body["id"].as_str().unwrap_or_default();
    assert!(!id.is_empty(), "a failure has an id: {answer:?}");
    assert_eq!(answer.header("x-request-id"), Some(id), "{answer:?}");
    id.to_owned()
}

/// Asserts that the answer is an error with this status, as JSON in the form `{"error": …, "code": …}`, and returns the
/// body.
///
/// # Panics
/// Panics if the answer has another form.
#[track_caller]
pub fn error(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(
        kind.starts_with("application/json"),
        "an error is JSON: {answer:?}"
    );
    let body = answer.json();
    assert_eq!(body["code"], status, "the code is the status: {body}");
    let message = body["error"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "an error has a message: {body}");
    assert_no_internals(message);
    body
}

/// Asserts that the answer is the error of a failed call, and returns the id of the call. The field `id` of the body
/// and the header `x-request-id` contain the same id.
///
/// # Panics
/// Panics if the answer has another form.
#[track_caller]
pub fn failure(answer: &Answer, status: u16) -> String {
    let body = error(answer, status);
    let id = body["id"].as_str().unwrap_or_default().to_string();
    assert!(!id.is_empty(), "a failure has an id: {body}");
    assert_eq!(
        answer.header("x-request-id"),
        Some(id.as_str()),
        "the header has the id of the body: {answer:?}"
    );
    id
}

/// Asserts that the only argument of an ack is an error with this code, `{"error": {"code", "message", "id"}}`, and
/// returns the inner object.
///
/// # Panics
/// Panics if the ack has another form.
#[track_caller]
pub fn failed_ack(ack: &Value, code: u16) -> Value {
    let error = &ack[0]["error"];
    assert_eq!(ack.as_array().map(Vec::len), Some(1), "one argument: {ack}");
    assert_eq!(error["code"], code, "{ack}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{ack}");
    assert_no_internals(message);
    error.clone()
}

/// Waits for the log line from index `from` on that refuses `file`, and returns it. The line contains all of `words`,
/// without regard to case. It says the cause, the fix, and at its end `serving`: what is served instead.
///
/// # Panics
/// Panics if no such line appears within 10 seconds, or if a part is missing.
pub async fn refused(
    server: &Server,
    from: usize,
    file: &str,
    words: &[&str],
    serving: &str,
) -> String {
    let line = server
        .wait_for_log_from(from, &[&format!("{file}: refused: ")])
        .await;
    for word in words {
        assert!(
            line.to_lowercase().contains(&word.to_lowercase()),
            "{word:?} is missing in: {line}"
        );
    }
    assert!(
        line.trim_end().ends_with(&format!("; {serving}")),
        "{serving:?} is missing in: {line}"
    );
    let sentence = line.split("refused: ").nth(1).unwrap_or_default();
    assert!(
        sentence.split("; ").count() >= 3,
        "cause; fix; what is served: {line}"
    );
    line
}

/// Asserts that a message for clients contains no paths, traps or backtraces.
#[track_caller]
fn assert_no_internals(message: &str) {
    for internal in [
        "wasm",
        "unreachable",
        "backtrace",
        "trap",
        "/src/",
        "panicked",
        "handlers/",
    ] {
        assert!(
            !message.to_lowercase().contains(internal),
            "{internal:?} is no business of a client: {message}"
        );
    }
}
