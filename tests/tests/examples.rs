//! Runs the examples' own tests as a reader would run them.

use std::process::Command;

use hitchy_tests::{sources, target_dir};

#[test]
fn the_tests_of_the_examples_pass() {
    let tested = Command::new("cargo")
        .args(["test", "--quiet"])
        .current_dir(sources().join("../examples"))
        .env("CARGO_TARGET_DIR", target_dir().join("examples"))
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&tested.stdout);
    // All examples have tests: chat has 10, counter has 3, and hello has 2.
    let passed = ["10 passed", "3 passed", "2 passed"];
    assert!(
        tested.status.success() && passed.iter().all(|passed| said.contains(passed)),
        "{said}\n{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}

#[test]
fn i12_2_the_handlers_of_the_examples_have_less_than_a_hundred_lines() {
    for example in ["chat", "counter"] {
        let file = sources().join(format!("../examples/{example}/src/lib.rs"));
        let source = std::fs::read_to_string(file).expect("readable");
        let handler = source.split("#[cfg(test)]").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = handler.lines().filter(is_code).count();
        assert!((20..100).contains(&lines), "{example}: {lines}");
    }
}

#[test]
fn i14_9_the_chat_in_javascript_has_less_than_eighty_lines() {
    let file = sources().join("../examples/chat-js/handlers/chat.js");
    let text = std::fs::read_to_string(file).expect("the example can be read");
    assert!(text.lines().count() < 80);
}
