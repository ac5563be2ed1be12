//! Settings: `hitchy.toml`, over it `HITCHY_*`, over it the flags, become one [`Config`]. Past this porch only resolved values
//! walk: bytes, durations, addresses.
//!
//! `keys` is the table of all settings and `source` lays what was written over its defaults; serde then hands the values to
//! the fields here. A changed file is simply loaded again, [`Config::changes`] says what that means for a running server.

mod commands;
mod error;
mod grant;
mod keys;
mod reference;
mod render;
mod sections;
mod source;
mod text;
mod types;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use error::{Error, Written};
pub use keys::{KEYS, Key, nearest};
pub use reference::reference;
pub use sections::{Admin, Dev, HandlerLimits, Handlers, Limits, Log, Server, Setup, Socket};
pub use source::{CLIENT_VARIABLE, FILE, Flag, Source, Sources};
pub use types::{Console, Format, Level, Listen, Network, Origins, SetCookie, Transport};
pub use value::Kind;

use grant::Grant;
use source::Gathered;

/// Every setting, resolved. Two are equal when every setting has the same value, wherever it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[socket]`
    pub socket: Socket,
    /// `[handlers]`
    pub handlers: Handlers,
    /// `[limits]`: for the node, and what a handler gets that has no other.
    pub limits: Limits,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
    /// `[dev]`
    pub dev: Dev,
    /// `[handler.NAME]`: what is set for one handler only.
    #[serde(skip)]
    handler: BTreeMap<String, Table>,
    /// Where each value that is no default stands.
    #[serde(skip)]
    sources: BTreeMap<String, Source>,
}

/// What differs between the settings a server runs with and newer ones, by key (`server.listen`, `handler.chat.memory`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Applied while the server runs.
    pub live: Vec<String>,
    /// Without effect until the next start.
    pub restart: Vec<String>,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

impl Config {
    /// Reads all sources, afresh each time: it costs one small file.
    ///
    /// # Errors
    /// The first thing that is wrong, as a sentence for whoever wrote it.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let config = Self::from_gathered(source::gather(sources)?);
        config.check()?;
        Ok(config)
    }

    /// What the handler `name` may use, with the path and the text of its sidecar if it has one. `name` is the path of its file
    /// below the handlers folder without `.wasm`, with `/` between folders.
    ///
    /// # Errors
    /// What is wrong with the sidecar, or with a value beside the limits of the node.
    pub fn handler_limits(
        &self,
        name: &str,
        sidecar: Option<(&Path, &str)>,
    ) -> Result<HandlerLimits, Error> {
        let mut grant = Grant::shared(self);
        if let Some((path, text)) = sidecar {
            let from = Source::File(path.to_owned());
            let values = source::for_handler(source::parse(path, text)?, "", &from)?;
            grant.lay(&values, |short| (from.clone(), short.to_owned()));
        }
        if let Some(values) = self.handler.get(name) {
            grant.lay(values, |short| {
                let key = source::handler_key(name, short);
                (self.source(&key), key)
            });
        }
        grant.within(&self.limits)
    }

    /// Each section `[handler.NAME]`: the name, the section as TOML writes it, and where it stands.
    pub fn handler_sections(&self) -> impl Iterator<Item = (&str, String, Source)> {
        self.handler.keys().map(|name| {
            let section = source::handler_section(name);
            let from = self.source(&section);
            (name.as_str(), section, from)
        })
    }

    /// The settings that are in force when `newer` has been read while the server runs: `newer`, but for what waits for the
    /// next start.
    pub fn with_live(&self, newer: &Self) -> Self {
        let Limits {
            concurrency,
            queue,
            queue_wait,
            memory_budget,
            ..
        } = self.limits.clone();
        Self {
            server: self.server.clone(),
            socket: self.socket.clone(),
            handlers: Handlers {
                required: newer.handlers.required.clone(),
                ..self.handlers.clone()
            },
            limits: Limits {
                concurrency,
                queue,
                queue_wait,
                memory_budget,
                ..newer.limits.clone()
            },
            admin: self.admin.clone(),
            log: self.log.clone(),
            ..newer.clone()
        }
    }

    /// Where the value of `key` (`server.listen`, `handler.chat.memory`) stands.
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// What `newer` changes.
    pub fn changes(&self, newer: &Self) -> Changes {
        let (old, new) = (self.values(), newer.values());
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key));
        let (live, restart) = differ.cloned().partition(|key| keys::is_live(key));
        Changes { live, restart }
    }

    /// The settings in force as a settings file, each with where it stands.
    pub fn render(&self) -> String {
        render::render(self)
    }

    fn from_gathered(gathered: Gathered) -> Self {
        let Gathered {
            sections,
            handlers,
            sources,
        } = gathered;
        let config: Self = sections
            .try_into()
            .expect("each row of the table of keys is a field of the same name and kind");
        Self {
            handler: handlers,
            sources,
            ..config
        }
    }

    /// What holds between settings: nobody is granted what the node does not have.
    fn check(&self) -> Result<(), Error> {
        Grant::shared(self).within(&self.limits)?;
        self.handler
            .keys()
            .try_for_each(|name| self.handler_limits(name, None).map(drop))
    }

    /// Every value that is set, by its whole key.
    fn values(&self) -> BTreeMap<String, Value> {
        let sections = Table::try_from(self).expect("settings came from TOML");
        let shared = sections.into_iter().flat_map(|(section, values)| {
            let values = values.try_into::<Table>().unwrap_or_default();
            let whole = move |(short, value)| (format!("{section}.{short}"), value);
            values.into_iter().map(whole)
        });
        let own = self.handler.iter().flat_map(|(name, values)| {
            let whole = |(short, value): (&String, &Value)| {
                (source::handler_key(name, short), value.clone())
            };
            values.iter().map(whole)
        });
        shared.chain(own).collect()
    }
}

impl Default for Config {
    /// What holds when nobody said anything, with the handlers folder in the current directory.
    fn default() -> Self {
        let defaults = source::defaults(Path::new("")).expect("the defaults are within bounds");
        Self::from_gathered(defaults)
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

#[cfg(test)]
mod tests;
