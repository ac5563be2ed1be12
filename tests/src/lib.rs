//! Shared parts of the black-box tests and benchmarks: the real server over an empty folder, the guests that a test
//! copies into it, and the clients that talk to it.

pub mod browser;
pub mod clauses;
pub mod code_cache;
pub mod commands;
pub mod components;
pub mod conformance;
pub mod console;
pub mod covered;
pub mod disk;
pub mod docs;
pub mod door;
pub mod driven;
pub mod edits;
pub mod expect;
pub mod figures;
pub mod guests;
pub mod http;
pub mod imports;
pub mod left_out;
pub mod lines;
pub mod living;
pub mod load;
pub mod modules;
pub mod node;
pub mod nodes;
pub mod other_server;
pub mod probe;
pub mod processes;
pub mod project;
pub mod raw;
pub mod redis;
pub mod refusing;
pub mod scrape;
pub mod server;
pub mod settings;
pub mod shell;
pub mod site;
pub mod stage;
pub mod stock;
pub mod stored;
pub mod streams;
pub mod tcp_proxy;
pub mod terminal;
pub mod toolchains;
pub mod wait;
pub mod wrk;

pub use browser::{Browser, Page};
pub use door::Client;
pub use guests::{guest, scripted, storing};
pub use node::{Node, Socket, official_client};
pub use nodes::Nodes;
pub use redis::Redis;
pub use server::Server;
pub use stage::Stage;

use std::path::PathBuf;

/// Returns the folder `tests/` of the sources.
pub fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder of this build's programs, for example `target/debug`, from the path of the running program.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let dir = program.parent().expect("a program lies in a folder");
    let dir = if dir.ends_with("deps") {
        dir.parent().expect("deps/ lies in the profile's folder")
    } else {
        dir
    };
    dir.to_path_buf()
}

/// Returns the target folder of this build, for example `target`.
pub fn target_dir() -> PathBuf {
    profile_dir()
        .parent()
        .expect("a profile's folder lies in the target folder")
        .to_path_buf()
}

/// Returns the command `cargo`, without the settings that the outer cargo put into the environment of this program.
pub fn cargo() -> std::process::Command {
    let mut cargo =
        std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(name);
    }
    // Variables in which cargo describes this package. Build scripts that watch them, such as ring's, would run again
    // each time that their values change.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}
