//! Handlers that begin with more than they may have: the refusal names the setting and its place before anything runs.

use std::fs;

use hitchy_tests::Server;
use hitchy_tests::commands::{folder, hitchy, out};
use hitchy_tests::components::{beginning_with, containing};

/// A handler that begins with 160 MiB. The limit is 128 MiB by default.
fn large() -> Vec<u8> {
    beginning_with("(memory 2560)")
}

/// Returns the line of the refusal with these settings and this file beside the handler.
async fn sentence(wasm: Vec<u8>, settings: &str, sidecar: &str) -> String {
    let plan = Server::prepare()
        .handler("shop.wasm", wasm)
        .handler("shop.toml", sidecar)
        .settings(settings);
    let server = plan.start().await;
    server.wait_for_log(&["shop.wasm", "refused"]).await
}

#[tokio::test]
async fn i11_21_a_memory_above_the_limit_is_told_with_the_setting() {
    for (name, wasm, size) in [
        ("one memory", large(), "160 MiB"),
        (
            "a table too",
            beginning_with("(memory 2561) (table 10 funcref)"),
            "163904 KiB",
        ),
        (
            "two memories",
            beginning_with("(memory 1281) (memory 1281)"),
            "163968 KiB",
        ),
        (
            "nested",
            containing(
                "(component $c (core module $m (memory 1280)) (core instance (instantiate $m)))
                 (instance (instantiate $c)) (instance (instantiate $c))",
            ),
            "160 MiB",
        ),
    ] {
        let line = sentence(wasm, "", "").await;
        let words = format!("it begins with {size} of memory, and limits.memory is 128 MiB");
        assert!(line.contains(&words), "{name}: {line}");
        assert!(
            line.contains("raise `memory` in shop.toml"),
            "{name}: {line}"
        );
        assert!(!line.contains("describe"), "{name}: {line}");
    }
}

#[tokio::test]
async fn i11_21_the_place_that_sets_the_limit_is_named() {
    let cases = [
        (
            "",
            "memory = \"64MiB\"",
            "limits.memory is 64 MiB; raise `memory` in shop.toml",
        ),
        (
            "[limits]\nmemory = \"64MiB\"",
            "",
            "is 64 MiB; raise `memory` in shop.toml, or limits.memory in ",
        ),
        (
            "[handler.shop]\nmemory = \"32MiB\"",
            "memory = \"64MiB\"",
            "is 32 MiB; raise handler.shop.memory in ",
        ),
        (
            "[limits]\nmemory-budget = \"128MiB\"",
            "",
            "limits.memory-budget, which all calls share, is 128 MiB; raise limits.memory-budget",
        ),
    ];
    for (settings, sidecar, words) in cases {
        let line = sentence(large(), settings, sidecar).await;
        assert!(line.contains(words), "{settings} {sidecar}: {line}");
    }
}

#[tokio::test]
async fn i11_21_raising_the_setting_serves_it_at_once() {
    let server = Server::prepare()
        .handler("shop.wasm", large())
        .start()
        .await;
    server.wait_for_log(&["shop.wasm", "raise `memory`"]).await;
    server.drop_in("shop.toml", "memory = \"192MiB\"");
    server.wait_for_log(&["shop.wasm: loaded"]).await;
    let from = server.log().len();
    server.drop_in("shop.toml", "memory = \"96MiB\"");
    let line = server
        .wait_for_log_from(from, &["shop.wasm", "refused"])
        .await;
    assert!(line.contains("limits.memory is 96 MiB"), "{line}");
}

#[tokio::test]
async fn i11_21_memory_that_grows_before_it_declares_names_the_setting_too() {
    let grows = beginning_with(
        "(memory 1) (func $grow (if (i32.eq (memory.grow (i32.const 3000)) (i32.const -1)) (then unreachable))) (start $grow)",
    );
    let line = sentence(grows, "", "").await;
    assert!(line.contains("out of memory"), "{line}");
    assert!(line.contains("raise `memory` in shop.toml"), "{line}");
}

#[tokio::test]
async fn i11_21_other_things_beyond_the_engine_are_counted() {
    let tables = "(table 1 funcref)".repeat(9);
    for (wasm, words) in [
        (
            beginning_with("(table 100001 funcref)"),
            "100001 elements in one table, and a handler may have 100000",
        ),
        (
            beginning_with(&tables),
            "9 tables in one module, and a handler may have 8",
        ),
        (
            beginning_with("(memory 1) (memory 1) (memory 1)"),
            "3 memories in one module, and a handler may have 2",
        ),
        (
            containing(&format!(
                "(core module $m) {}",
                "(core instance (instantiate $m))".repeat(201)
            )),
            "core instances, and a handler may have 200",
        ),
    ] {
        let line = sentence(wasm, "", "").await;
        assert!(line.contains(words), "{words}: {line}");
    }
}

#[test]
fn i11_21_inspect_says_the_same() {
    let folder = folder();
    fs::write(folder.path().join("shop.wasm"), large()).expect("written");
    let text = out(&hitchy(folder.path(), &["inspect", "shop.wasm"]));
    for words in [
        "refused: it begins with 160 MiB of memory, and limits.memory is 128 MiB",
        "raise `memory` in shop.toml",
    ] {
        assert!(text.contains(words), "{words:?} is missing in: {text}");
    }
}
