//! Tests of settings as people write them. `refused` has the tests of wrong settings.

mod refused;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use toml::{Table, Value};

use super::*;

const MIB: usize = 1 << 20;

/// Returns a temporary folder that contains only this settings file.
fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), settings).unwrap();
    folder
}

fn in_folder(folder: &TempDir) -> Sources {
    Sources {
        folder: Some(folder.path().to_owned()),
        ..Sources::default()
    }
}

fn from_file(settings: &str) -> Result<Config, Error> {
    Config::load(&in_folder(&folder(settings)))
}

fn from_env(vars: &[(&str, &str)]) -> Result<Config, Error> {
    let empty = tempfile::tempdir().unwrap();
    let env = vars
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Config::load(&Sources {
        env,
        ..in_folder(&empty)
    })
}

/// Returns the sentence of the error, with the settings file named as if it were in the current directory.
fn sentence(settings: &str) -> String {
    let folder = folder(settings);
    let error = Config::load(&in_folder(&folder)).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Config::default();
    assert_eq!(config.server.listen, Listen::Loopbacks { port: 3000 });
    assert_eq!(config.server.body_limit, MIB);
    assert_eq!(config.server.max_connections, None);
    assert_eq!(config.server.cors, Origins::Own);
    assert_eq!(
        config.socket.transports,
        [Transport::Polling, Transport::Websocket]
    );
    assert_eq!(config.handlers.settle, Duration::from_millis(150));
    assert!(config.handlers.dir.is_absolute() && config.handlers.dir.ends_with("handlers"));
    let handler = config.handler_settings("chat", None).unwrap();
    assert_eq!(handler.memory, 128 * MIB);
    assert_eq!(config.log.format, Format::Pretty);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = folder("[limits]\nqueue = 1\ncpu = \"1ms\"\nmemory = \"1MiB\"");
    let config = Config::load(&Sources {
        env: vec![
            ("HITCHY_LIMITS__QUEUE".into(), "2".into()),
            ("HITCHY_LIMITS__CPU".into(), "2ms".into()),
            ("PATH".into(), "/bin".into()),
        ],
        flags: vec![Flag {
            key: "limits.queue",
            value: "3".into(),
            flag: "--queue",
        }],
        ..in_folder(&folder)
    })
    .unwrap();
    assert_eq!(config.limits.queue, 3);
    let handler = config.handler_settings("chat", None).unwrap();
    assert_eq!(handler.cpu, Duration::from_millis(2));
    assert_eq!(handler.memory, MIB);
    assert_eq!(config.source("limits.queue"), Source::Flag("--queue"));
    let variable = Source::Variable("HITCHY_LIMITS__CPU".into());
    assert_eq!(config.source("limits.cpu"), variable);
    assert_eq!(config.source("limits.deadline"), Source::Default);
}

#[test]
fn relative_paths_start_from_the_settings_file_or_the_given_folder() {
    let project = folder("[handlers]\ndir = \"dist\"");
    let by_file = Sources {
        file: Some(project.path().join(FILE)),
        ..Sources::default()
    };
    let config = Config::load(&by_file).unwrap();
    assert_eq!(config.handlers.dir, project.path().join("dist"));

    let elsewhere = tempfile::tempdir().unwrap();
    let sources = Sources {
        folder: Some(elsewhere.path().to_owned()),
        ..by_file
    };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.handlers.dir, elsewhere.path().join("dist"));
}

#[test]
fn paths_in_flags_start_from_the_current_directory() {
    let config = Config::load(&Sources {
        flags: vec![Flag {
            key: "handlers.dir",
            value: "here".into(),
            flag: "--dir",
        }],
        ..in_folder(&folder(""))
    });
    let here = std::path::absolute("here").unwrap();
    assert_eq!(config.unwrap().handlers.dir, here);
}

#[test]
fn an_environment_variable_is_read_like_the_file() {
    let config = from_env(&[
        ("HITCHY_SERVER__BODY_LIMIT", "2MiB"),
        ("HITCHY_HANDLERS__WATCH", "false"),
        ("HITCHY_HANDLERS__REQUIRED", "auth, api/shop"),
        ("HITCHY_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("HITCHY_SERVER__CORS", "*"),
    ])
    .unwrap();
    assert_eq!(config.server.body_limit, 2 * MIB);
    assert!(!config.handlers.watch);
    assert_eq!(config.handlers.required, ["auth", "api/shop"]);
    assert!(config.server.trusts("10.9.9.9".parse().unwrap()));
    assert!(!config.server.trusts("11.9.9.9".parse().unwrap()));
    assert_eq!(config.server.cors, Origins::Any);
}

#[test]
fn variables_of_a_kubernetes_service_named_hitchy_are_passed_over() {
    from_env(&[
        ("HITCHY_SERVICE_HOST", "10.0.0.1"),
        ("HITCHY_SERVICE_PORT_HTTP", "3000"),
        ("HITCHY_PORT", "tcp://10.0.0.1:3000"),
        ("HITCHY_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("HITCHY_PORT_3000_TCP_PORT", "3000"),
    ])
    .unwrap();
    assert!(from_env(&[("HITCHY_PORT", "3000")]).is_err());
}

#[test]
fn the_variable_of_the_client_commands_is_passed_over() {
    from_env(&[("HITCHY_URL", "http://localhost:3000")]).unwrap();
}

#[test]
fn a_handler_gets_the_shared_limits_and_three_quarters_of_the_calls() {
    let settings = Config::default().handler_settings("chat", None).unwrap();
    assert_eq!(settings.memory, 128 * MIB);
    assert_eq!(settings.deadline, Duration::from_secs(10));
    assert_eq!(settings.concurrency, 192);
    let one = from_file("[limits]\nconcurrency = 1").unwrap();
    assert_eq!(one.handler_settings("chat", None).unwrap().concurrency, 1);
}

#[test]
fn a_handlers_section_wins_over_its_sidecar_and_that_over_the_limits() {
    let config =
        from_file("[limits]\ncpu = \"3s\"\n[handler.\"api/shop\"]\nmemory = \"1MiB\"").unwrap();
    let path = PathBuf::from("api/shop.toml");
    let sidecar = "memory = \"2MiB\"\ndeadline = \"5s\"\nconcurrency = 7";
    let settings = config
        .handler_settings("api/shop", Some((&path, sidecar)))
        .unwrap();
    assert_eq!(settings.memory, MIB);
    assert_eq!(settings.deadline, Duration::from_secs(5));
    assert_eq!(settings.cpu, Duration::from_secs(3));
    assert_eq!(settings.concurrency, 7);
    let other = config.handler_settings("shop", None).unwrap();
    assert_eq!(other.memory, 128 * MIB);
}

#[test]
fn changes_tell_what_is_applied_from_what_needs_a_restart() {
    let folder = folder("");
    let load = |settings: &str| {
        fs::write(folder.path().join(FILE), settings).unwrap();
        Config::load(&in_folder(&folder)).unwrap()
    };
    let old = load("[handler.gone]\ncpu = \"2s\"");
    let new = load(
        "[server]\nlisten = \"localhost:1\"\nmax-connections = 9\n[handlers]\nrequired = [\"auth\"]\n\
         [limits]\nqueue = 1\n[handler.\"a/b\"]\nmemory = \"1MiB\"",
    );
    let changes = old.changes(&new);
    assert_eq!(
        changes.live,
        [
            "handler.\"a/b\".memory",
            "handler.gone.cpu",
            "handlers.required"
        ]
    );
    assert_eq!(
        changes.restart,
        ["limits.queue", "server.listen", "server.max-connections"]
    );
    assert!(old != new && new.changes(&new.clone()).is_empty());
}

#[test]
fn what_waits_for_a_restart_stays_as_it_was() {
    let folder = folder("[server]\nlisten = \"localhost:1\"");
    let old = Config::load(&in_folder(&folder)).unwrap();
    fs::write(
        folder.path().join(FILE),
        "[server]\nlisten = \"localhost:2\"\n[handlers]\ndir = \"other\"\nrequired = [\"auth\"]\n\
         [limits]\nconcurrency = 4\ncpu = \"5ms\"",
    )
    .unwrap();
    let live = old.with_live(&Config::load(&in_folder(&folder)).unwrap());
    assert_eq!(live.server.listen, old.server.listen);
    assert_eq!(live.handlers.dir, old.handlers.dir);
    assert_eq!(live.limits.concurrency, old.limits.concurrency);
    assert_eq!(live.handlers.required, ["auth"]);
    let handler = live.handler_settings("chat", None).unwrap();
    assert_eq!(handler.cpu, Duration::from_millis(5));
}

#[test]
fn the_same_value_from_elsewhere_is_no_change() {
    let folder = folder("[limits]\nmemory = \"131072KiB\"");
    let config = Config::load(&in_folder(&folder)).unwrap();
    fs::write(folder.path().join(FILE), "").unwrap();
    assert_eq!(config, Config::load(&in_folder(&folder)).unwrap());
}

#[test]
fn what_is_printed_means_the_same_when_fed_back() {
    let settings = "[server]\ncors = \"*\"\norigins = [\"https://a.example\"]\nbody-limit = 1000001\n\
        trusted-proxies = [\"10.0.0.0/8\"]\n[limits]\ndeadline = \"1.5s\"\nmemory-budget = \"3GiB\"\n\
        [handler.chat]\ncpu = \"5ms\"\n[handler.\"a/b\"]\nmemory = \"1MiB\"";
    let folder = folder(settings);
    let mut sources = in_folder(&folder);
    sources.env = vec![("HITCHY_LIMITS__QUEUE".into(), "5".into())];
    let config = Config::load(&sources).unwrap();
    let printed = config.render();
    let path = folder.path().join(FILE);
    for line in [
        "listen = \"localhost:3000\"  # default".to_owned(),
        "queue = 5  # HITCHY_LIMITS__QUEUE".to_owned(),
        format!("deadline = \"1s 500ms\"  # {}", path.display()),
        "[handler.\"a/b\"]".to_owned(),
        format!("cpu = \"5ms\"  # {}", path.display()),
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert_eq!(from_file(&printed).unwrap(), config);
    assert_eq!(
        from_file(&printed).unwrap().changes(&config),
        Changes::default()
    );
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    assert!(from_file("\u{feff}[log]\nlevel = \"debug\"").is_ok());
}
