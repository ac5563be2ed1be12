//! Tests of wrong settings: the sentence of each error names the source, the value and what would be right.

use super::*;

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.toml");
    let sources = Sources {
        file: Some(file.clone()),
        ..Sources::default()
    };
    let error = Config::load(&sources).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read the settings file"),
        "{error}"
    );
    fs::write(&file, "[log]\nlevel = \"debug\"").unwrap();
    assert_eq!(Config::load(&sources).unwrap().log.level, Level::Debug);
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    assert_eq!(
        sentence("[limits]\nmemory = \"64 elephants\""),
        r#"hitchy.toml: limits.memory = "64 elephants" is not a size; write for example "64MiB""#
    );
    assert_eq!(
        sentence("[log]\nformat = \"xml\""),
        r#"hitchy.toml: log.format = "xml" is not one of "pretty", "json"; write for example "pretty""#
    );
    assert_eq!(
        sentence("[handlers]\nsettle = 150"),
        r#"hitchy.toml: handlers.settle = 150 is not a length of time; write for example "150ms""#
    );
    assert_eq!(
        sentence("[server.listen]\nport = 1"),
        r#"hitchy.toml: server.listen = { port = 1 } is not an address to listen on; write for example "localhost:3000""#
    );
}

#[test]
fn l21_folders_of_the_server_itself_may_not_be_public() {
    for (settings, key) in [
        ("[kv]\npath = \"public\"", "kv.path"),
        ("[kv]\npath = \"public/data\"", "kv.path"),
        ("[server]\npublic = \".\"", "kv.path"),
        ("[cache]\ndir = \"public/cache\"", "cache.dir"),
    ] {
        let error = from_file(settings).unwrap_err();
        let is_named = matches!(&error, Error::IsPublic { key: named, .. } if *named == key);
        assert!(is_named, "{settings}: {error}");
        assert!(
            error.to_string().contains("choose another folder"),
            "{error}"
        );
    }
    from_file("[kv]\npath = \"public-data\"").unwrap();
}

#[test]
fn a_value_out_of_bounds_is_named_with_them() {
    assert_eq!(
        sentence("[limits]\ndeadline = \"2m\""),
        r#"hitchy.toml: limits.deadline = "2m" is out of bounds; it may be from "1ms" to "1m""#
    );
    assert_eq!(
        sentence("[server]\nbody-limit = 0"),
        r#"hitchy.toml: server.body-limit = 0 is out of bounds; it may be from 1 to "1GiB""#
    );
    for settings in [
        "[socket]\nping-interval = \"0s\"",
        "[socket]\nping-timeout = \"0s\"",
        "[limits]\nmemory = \"63KiB\"",
        "[limits]\nconcurrency = 0",
    ] {
        let error = from_file(settings).unwrap_err();
        assert!(matches!(error, Error::OutOfBounds { .. }), "{error}");
    }
}

#[test]
fn an_unknown_key_gets_the_nearest_known_one() {
    for (settings, end) in [
        (
            "[server]\nlisen = 1",
            "server.lisen; did you mean server.listen?",
        ),
        (
            "[sever]\nlisten = 1",
            "sever.listen; did you mean server.listen?",
        ),
        ("listen = 1", "listen; did you mean server.listen?"),
        (
            "[server]\nmemory = 1",
            "server.memory; did you mean limits.memory?",
        ),
        (
            "[workers]",
            "workers; `hitchy serve --print-config` shows all there are",
        ),
        (
            "[queue]\nbroker = 1",
            "queue.broker; `hitchy serve --print-config` shows all there are",
        ),
    ] {
        assert_eq!(
            sentence(settings),
            format!("hitchy.toml: unknown key {end}")
        );
    }
}

/// Returns the keys that may be set for one handler, as errors list them.
fn for_one_handler() -> String {
    let known: Vec<_> = keys::per_handler().map(Key::short).collect();
    assert!(known.contains(&"memory") && known.contains(&"deadline"));
    known.join(", ")
}

#[test]
fn an_unknown_key_of_a_handler_is_told_with_those_there_are() {
    let all = for_one_handler();
    assert_eq!(
        sentence("[handler.chat]\nmemry = 1"),
        format!(
            "hitchy.toml: unknown key handler.chat.memry; did you mean memory? For one handler there are {all}"
        )
    );
    assert_eq!(
        sentence("[handler.chat]\nroutes = 1"),
        format!("hitchy.toml: unknown key handler.chat.routes; for one handler there are {all}")
    );
}

#[test]
fn a_list_in_the_environment_has_commas() {
    for (value, shown) in [
        ("https://a.example b", r#""https://a.example b""#),
        (r#"["https://a.example"]"#, r#"'["https://a.example"]'"#),
    ] {
        let error = from_env(&[("HITCHY_SERVER__ORIGINS", value)]).unwrap_err();
        let origins = r#"a list of origins, scheme and host without a path, or "*""#;
        assert_eq!(
            error.to_string(),
            format!(
                "HITCHY_SERVER__ORIGINS: server.origins = {shown} is not {origins}; write for example \
                 https://app.example.com,http://localhost:5173 (a comma between two items)"
            )
        );
    }
    let error = from_env(&[("HITCHY_SOCKET__TRANSPORTS", "carrier pigeon")]).unwrap_err();
    let end = "write for example polling,websocket (a comma between two items)";
    assert!(error.to_string().ends_with(end), "{error}");
    for key in KEYS {
        if let Some(example) = key.kind.example_as_text() {
            assert!(key.kind.read(&Value::from(example)).is_ok(), "{}", key.name);
        }
    }
}

#[test]
fn a_section_is_not_a_value() {
    let hint = "is a section, written";
    assert_eq!(
        sentence("limits = 3"),
        format!("hitchy.toml: limits {hint} [limits], not a value")
    );
    let chat = format!("hitchy.toml: handler.chat {hint} [handler.chat], not a value");
    assert_eq!(sentence("[handler]\nchat = 3"), chat);
}

#[test]
fn a_syntax_error_names_line_and_column() {
    let error = sentence("[server]\nlisten = \"é\" x\n");
    assert!(error.starts_with("hitchy.toml:2:14: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
    let error = sentence("[server]\nlisten = \"a:1\"\nlisten = \"b:1\"");
    assert!(error.starts_with("hitchy.toml:3:1: "), "{error}");
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, sentence) in [
        (
            "HITCHY_SERVER__LISEN",
            "",
            "unknown environment variable HITCHY_SERVER__LISEN; did you mean HITCHY_SERVER__LISTEN?",
        ),
        (
            "HITCHY_SERVER_LISTEN",
            "",
            "unknown environment variable HITCHY_SERVER_LISTEN; did you mean HITCHY_SERVER__LISTEN?",
        ),
        (
            "HITCHY_LIMITS__CPU",
            "fast",
            r#"HITCHY_LIMITS__CPU: limits.cpu = "fast" is not a length of time; write for example "150ms""#,
        ),
    ] {
        let error = from_env(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(error, sentence);
    }
    let error = from_env(&[("HITCHY_HANDLER__CHAT__CPU", "1s")]).unwrap_err();
    assert!(matches!(error, Error::HandlerVariable { .. }), "{error}");
}

#[test]
fn a_wrong_flag_is_named() {
    let error = Config::load(&Sources {
        flags: vec![Flag {
            key: "server.listen",
            value: "nowhere".into(),
            flag: "--listen",
        }],
        ..in_folder(&folder(""))
    });
    let sentence = r#"--listen: server.listen = "nowhere" is not an address to listen on; write for example "localhost:3000""#;
    assert_eq!(error.unwrap_err().to_string(), sentence);
}

#[test]
fn a_wrong_sidecar_is_named() {
    let (path, all) = (PathBuf::from("chat.toml"), for_one_handler());
    for (text, sentence) in [
        (
            "memry = 1",
            format!(
                "chat.toml: unknown key memry; did you mean memory? For one handler there are {all}"
            ),
        ),
        (
            "routes = 1",
            format!("chat.toml: unknown key routes; for one handler there are {all}"),
        ),
        (
            "[limits]\nmemory = \"1MiB\"",
            format!(
                "chat.toml: unknown key limits; the settings of one handler have no sections: {all}"
            ),
        ),
        (
            "cpu = 1",
            r#"chat.toml: cpu = 1 is not a length of time; write for example "150ms""#.to_owned(),
        ),
        (
            "instances = \"sockets\"",
            r#"chat.toml: instances = "sockets" is not one of "call", "socket", "shared"; write for example "socket""#.to_owned(),
        ),
        (
            "idle = \"-1s\"",
            r#"chat.toml: idle = "-1s" is not a length of time; write for example "150ms""#.to_owned(),
        ),
        (
            "max-calls = 0",
            "chat.toml: max-calls = 0 is out of bounds; it may be from 1 to 1000000000".to_owned(),
        ),
        (
            "max-instances = 99999999",
            "chat.toml: max-instances = 99999999 is out of bounds; it may be from 1 to 100000".to_owned(),
        ),
        (
            "concurrency = 300",
            "chat.toml: concurrency = 300 is more than limits.concurrency = 256; lower the first or raise the second".to_owned(),
        ),
    ] {
        let error = Config::default().handler_settings("chat", Some((&path, text)));
        assert_eq!(error.unwrap_err().to_string(), sentence);
    }
    let error = Config::default().handler_settings("chat", Some((&path, "a\n")));
    assert!(matches!(error, Err(Error::Syntax { line: 1, .. })));
}

#[test]
fn nobody_is_granted_more_memory_than_the_node_has() {
    assert_eq!(
        sentence("[limits]\nmemory-budget = \"64MiB\""),
        r#"default: limits.memory = "128MiB" is more than limits.memory-budget = "64MiB"; lower the first or raise the second"#
    );
    let settings = "[limits]\nmemory-budget = \"256MiB\"\n[handler.\"a/b\"]\nmemory = \"1GiB\"";
    assert_eq!(
        sentence(settings),
        r#"hitchy.toml: handler."a/b".memory = "1GiB" is more than limits.memory-budget = "256MiB"; lower the first or raise the second"#
    );
}

#[test]
fn a_section_for_what_cannot_be_a_handler_is_refused() {
    let error = sentence("[handler.\"chat.wasm\"]\nmemory = \"1MiB\"");
    assert!(
        error.starts_with("hitchy.toml: \"chat.wasm\" is not the name of a handler"),
        "{error}"
    );
}

#[test]
fn every_example_in_an_error_is_accepted() {
    for key in KEYS {
        let text = format!("value = {}", key.kind.example());
        let example = text.parse::<Table>().unwrap();
        assert!(key.kind.read(&example["value"]).is_ok(), "{}", key.name);
    }
}
