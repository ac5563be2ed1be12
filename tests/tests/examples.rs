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
    // All examples have tests: chat has 10, counter has 4, and hello has 2.
    let passed = ["10 passed", "4 passed", "2 passed"];
    assert!(
        tested.status.success() && passed.iter().all(|passed| said.contains(passed)),
        "{said}\n{}",
        String::from_utf8_lossy(&tested.stderr)
    );
}
