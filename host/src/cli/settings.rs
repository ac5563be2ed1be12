//! The flags that set keys of the settings, and the sources of settings that they become a part of.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Flag, Sources};

/// The flags of commands that load the settings as a server does.
#[derive(Args)]
pub(super) struct SettingsArgs {
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen on ADDRESS, for example localhost:3000 or 0.0.0.0:80 [server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Serve the .wasm, .js and .ts files of DIR [handlers.dir]
    #[arg(long, value_name = "DIR")]
    handlers: Option<String>,
    /// Log at LEVEL: error, warn, info, debug or trace [log.level]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

impl SettingsArgs {
    /// Returns the sources of settings: the file, the environment and these flags. `folder` becomes their field of the
    /// same name.
    pub(super) fn sources(self, folder: Option<PathBuf>) -> Sources {
        let flags = [
            ("server.listen", self.listen, "--listen"),
            ("handlers.dir", self.handlers, "--handlers"),
            ("log.level", self.log, "--log"),
        ];
        sources(self.config, folder, flags)
    }
}

/// Returns the sources of settings: the file, the environment, and those `flags` that are given. A flag is the key that
/// it sets, its value, and its name on the command line.
pub(super) fn sources(
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    flags: impl IntoIterator<Item = (&'static str, Option<String>, &'static str)>,
) -> Sources {
    let given = flags.into_iter().filter_map(|(key, value, flag)| {
        Some(Flag {
            key,
            value: value?,
            flag,
        })
    });
    Sources {
        file,
        folder,
        env: std::env::vars_os().collect(),
        flags: given.collect(),
    }
}
