//! The examples keep what they promise: their own tests pass, as a reader would run them.

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
    // Each has tests: 10 of chat, 4 of counter, 2 of hello.
    let passed = ["10 passed", "4 passed", "2 passed"];
    assert!(
        tested.status.success() && passed.iter().all(|passed| said.contains(passed)),
        "{said}\n{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}
