//! Settings: `hitchy.toml`, over it `HITCHY_*`, over it the flags, become one [`Config`]. Everything above this folder
//! sees resolved values only: bytes, durations, addresses.
//!
//! `keys` is the table of all settings and `gather` lays what was written over its defaults; serde then hands the
//! values to the fields here. A changed file is simply loaded again, and [`Config::changes`] says what that means for a
//! running server.

mod commands;
mod error;
mod gather;
mod grant;
mod keys;
mod reference;
mod render;
mod sections;
mod source;
mod text;
mod types;
mod value;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

pub use error::{Error, Written};
pub use gather::{CLIENT_VARIABLE, Flag, Sources};
pub use keys::{KEYS, Key, nearest};
pub use reference::reference;
pub use sections::{Admin, Dev, Handlers, Limits, Log, Server, Setup, Socket};
pub use source::{FILE, Source};
pub use types::{Console, Format, Level, Listen, Network, Origins, SetCookie, Transport};
pub use value::Kind;

use gather::Gathered;
use grant::Grant;

use crate::runtime::HandlerSettings;

/// Every setting, resolved. Two are equal when every setting has the same value, wherever it came from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[socket]`
    pub socket: Socket,
    /// `[handlers]`
    pub handlers: Handlers,
    /// `[limits]`, as far as it is for the node; the defaults for handlers are read by [`Config::handler_settings`].
    pub limits: Limits,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[dev]`
    pub dev: Dev,
    /// The values that the fields were read from, those of single handlers, and where each value stands.
    #[serde(skip)]
    gathered: Gathered,
}

/// The differences between the settings with which a server runs and newer ones, by key (`server.listen`,
/// `handler.chat.memory`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that are applied while the server runs.
    pub live: Vec<String>,
    /// Keys that have no effect until the next start.
    pub restart: Vec<String>,
}

impl Changes {
    /// Returns true if nothing differs.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

impl Config {
    /// Reads all sources. That costs one small file, so it is done again whenever the file may have changed.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let config = Self::from_gathered(gather::gather(sources)?);
        config.check()?;
        Ok(config)
    }

    /// Returns the settings of the handler `name`, with the path and the text of its sidecar if it has one: the
    /// defaults for handlers, over them the sidecar, over it `[handler.NAME]`. `name` is the path of the handler's file
    /// below the handlers folder without `.wasm`, with `/` between folders.
    ///
    /// # Errors The sidecar is wrong, or a value grants more than the node has.
    pub fn handler_settings(
        &self,
        name: &str,
        sidecar: Option<(&Path, &str)>,
    ) -> Result<HandlerSettings, Error> {
        let mut grant = Grant::shared(&self.gathered, &self.limits);
        if let Some((path, text)) = sidecar {
            let from = Source::File(path.to_owned());
            let values = gather::for_handler(gather::parse(path, text)?, "", &from)?;
            grant.lay(&values, |short| (from.clone(), short.to_owned()));
        }
        if let Some(values) = self.gathered.handlers.get(name) {
            grant.lay(values, |short| {
                let key = gather::handler_key(name, short);
                (self.source(&key), key)
            });
        }
        grant.within(&self.limits)
    }

    /// Returns each section `[handler.NAME]`: the name, the section as TOML writes it, and its source.
    pub fn handler_sections(&self) -> impl Iterator<Item = (&str, String, Source)> {
        self.gathered.handlers.keys().map(|name| {
            let section = gather::handler_section(name);
            let from = self.source(&section);
            (name.as_str(), section, from)
        })
    }

    /// Returns the settings that are in force when `newer` has been read while the server runs: the newer value of
    /// every key that the table of keys marks as live, and this one's value of every other.
    #[must_use]
    pub fn with_live(&self, newer: &Self) -> Self {
        let mut gathered = newer.gathered.clone();
        for key in KEYS.iter().filter(|key| !key.live) {
            gathered.take_from(&self.gathered, key);
        }
        Self::from_gathered(gathered)
    }

    /// Returns the source of the value of `key` (`server.listen`, `handler.chat.memory`).
    pub fn source(&self, key: &str) -> Source {
        self.gathered
            .sources
            .get(key)
            .cloned()
            .unwrap_or(Source::Default)
    }

    /// Returns the settings that `newer` changes.
    pub fn changes(&self, newer: &Self) -> Changes {
        let (old, new) = (self.gathered.values(), newer.gathered.values());
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key));
        let (live, restart) = differ.cloned().partition(|key| keys::is_live(key));
        Changes { live, restart }
    }

    /// Returns the settings in force as a settings file, each with its source.
    pub fn render(&self) -> String {
        render::render(&self.gathered)
    }

    fn from_gathered(gathered: Gathered) -> Self {
        let mut sections = gathered.sections.clone();
        sections.remove(keys::HANDLER);
        let config: Self = sections
            .try_into()
            .expect("each row of the table of keys is a field of the same name and kind");
        Self { gathered, ..config }
    }

    /// Checks settings against each other: nobody is granted more than the node has.
    fn check(&self) -> Result<(), Error> {
        Grant::shared(&self.gathered, &self.limits).within(&self.limits)?;
        let mut names = self.gathered.handlers.keys();
        names.try_for_each(|name| self.handler_settings(name, None).map(drop))
    }
}

impl Default for Config {
    /// Returns the defaults, with the handlers folder in the current directory.
    fn default() -> Self {
        let defaults = gather::defaults(Path::new("")).expect("the defaults are within bounds");
        Self::from_gathered(defaults)
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.gathered.values() == other.gathered.values()
    }
}

#[cfg(test)]
mod tests;
