//! Command line and settings: an error is one sentence, with the matching exit code.

use std::net::TcpListener;

use hitchy_tests::server::{Ended, Plan};
use hitchy_tests::{Server, guest};

/// Asserts that the server ended with this code and one sentence with these words.
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.log);
    for word in words {
        assert!(
            ended.log.contains(word),
            "{word:?} is missing in: {}",
            ended.log
        );
    }
    let sentences = ended
        .log
        .lines()
        .filter(|line| line.to_lowercase().contains("error"))
        .count();
    assert_eq!(sentences, 1, "one sentence: {}", ended.log);
    assert!(
        !ended.log.contains("panicked") && !ended.log.contains("stack backtrace"),
        "{}",
        ended.log
    );
}

fn with_settings(toml: &str) -> Plan {
    Server::prepare().settings(toml)
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let ended = with_settings("[server]\nlisen = \"127.0.0.1:0\"")
        .fail()
        .await;
    refused(&ended, 2, &["hitchy.toml", "server.lisen", "server.listen"]);
    let ended = with_settings("[handler.chat]\nmemmory = \"1MiB\"")
        .fail()
        .await;
    refused(&ended, 2, &["hitchy.toml", "memmory", "memory"]);
}

#[tokio::test]
async fn a_value_of_another_kind_is_refused_with_an_example() {
    let ended = with_settings("[limits]\nmemory = \"plenty\"").fail().await;
    refused(
        &ended,
        2,
        &["hitchy.toml", "limits.memory", "plenty", "MiB"],
    );
    let ended = with_settings("[limits]\ndeadline = \"10min\"").fail().await;
    refused(&ended, 2, &["limits.deadline"]);
}

#[tokio::test]
async fn a_settings_file_that_is_no_toml_is_refused_with_its_line() {
    let ended = with_settings("[server]\nlisten = ").fail().await;
    refused(&ended, 2, &["hitchy.toml", ":2:"]);
}

#[tokio::test]
async fn a_settings_file_that_is_asked_for_and_missing_is_refused() {
    let ended = Server::prepare()
        .flag("--config")
        .flag("nowhere.toml")
        .fail()
        .await;
    refused(&ended, 2, &["nowhere.toml"]);
}

#[tokio::test]
async fn an_unknown_variable_is_refused() {
    let ended = Server::prepare()
        .env("HITCHY_SERVER__LISEN", "127.0.0.1:0")
        .fail()
        .await;
    refused(
        &ended,
        2,
        &["HITCHY_SERVER__LISEN", "HITCHY_SERVER__LISTEN"],
    );
}

#[tokio::test]
async fn an_unknown_flag_is_a_usage_error() {
    let ended = Server::prepare().flag("--lisen").fail().await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("--lisen"), "{}", ended.log);
}

#[tokio::test]
async fn a_missing_folder_is_said_with_its_name() {
    let ended = Server::prepare()
        .flag("--handlers")
        .flag("no/such/folder")
        .fail()
        .await;
    refused(&ended, 1, &["no/such/folder"]);
    let ended = Server::prepare()
        .file("a-file", "text")
        .flag("--handlers")
        .flag("a-file")
        .fail()
        .await;
    refused(&ended, 1, &["a-file"]);
}

#[tokio::test]
async fn a_port_in_use_is_said_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address").to_string();
    let ended = Server::prepare().flag("--listen").flag(&addr).fail().await;
    refused(&ended, 1, &[&addr, "in use"]);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let ended = Server::prepare()
        .flag("--listen")
        .flag("nonsense")
        .fail()
        .await;
    refused(&ended, 2, &["--listen", "nonsense"]);
}

#[tokio::test]
async fn the_environment_wins_over_the_file_and_flags_over_both() {
    let plan = with_settings("[server]\nlisten = \"127.0.0.1:1\"\ngrace = \"1s\"\n[limits]\ndeadline = \"9s\"\ncpu = \"2s\"")
        .env("HITCHY_LIMITS__DEADLINE", "3s")
        .flag("--print-config");
    let ended = plan.fail().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let line = |section: &str, key: &str| {
        let start = format!("[{section}]");
        let inside = ended.out.lines().skip_while(|line| *line != start).skip(1);
        let lines: Vec<_> = inside
            .take_while(|line| !line.starts_with('['))
            .filter(|line| line.starts_with(&format!("{key} =")))
            .collect();
        assert_eq!(lines.len(), 1, "{key} in {}", ended.out);
        lines[0].to_string()
    };
    assert!(
        line("server", "listen").contains("127.0.0.1:0")
            && line("server", "listen").contains("--listen"),
        "{}",
        line("server", "listen")
    );
    assert!(
        line("limits", "deadline").contains("3s")
            && line("limits", "deadline").contains("HITCHY_LIMITS__DEADLINE"),
        "{}",
        line("limits", "deadline")
    );
    assert!(
        line("limits", "cpu").contains("2s") && line("limits", "cpu").contains("hitchy.toml"),
        "{}",
        line("limits", "cpu")
    );
    assert!(
        line("limits", "queue-wait").contains("default"),
        "{}",
        line("limits", "queue-wait")
    );
    // The printed settings can be read as a settings file.
    toml::from_str::<toml::Table>(&ended.out).expect("it is a settings file");
}

#[tokio::test]
async fn a_settings_file_in_the_current_folder_is_found_and_paths_in_it_are_relative_to_it() {
    let server = Server::prepare()
        .file("hitchy.toml", "[limits]\ndeadline = \"200ms\"")
        .handler("faults.wasm", guest("faults"))
        .start()
        .await;
    assert_eq!(server.get("/fault/sleep/5000").await.status, 504);
}

#[tokio::test]
async fn json_logs_are_one_object_a_line() {
    let server = Server::prepare()
        .handler("v.wasm", guest("version_one"))
        .settings("[log]\nformat = \"json\"")
        .start()
        .await;
    server.drop_in("v.wasm", guest("version_two"));
    server.wait_for_body("/version", "two").await;
    server.wait_for_log(&["reloaded"]).await;
    for line in server.log().all() {
        assert!(
            serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|line| line.is_object()),
            "{line}"
        );
    }
}
