//! Settings: `hitchy.toml`, the variables `HITCHY_*` and the flags become one [`Config`], in which each value is
//! resolved to bytes, durations and addresses. A variable overrides the file, and a flag overrides both.
//!
//! `keys` is the table of all settings, and `gather` overrides its defaults by what was written. From the result
//! serde fills the fields of [`Config`]. A changed file is loaded again from the start, and [`Config::changes`]
//! returns what differs for a running server.

mod buckets;
mod commands;
mod environment;
mod error;
mod gather;
mod grant;
mod handler_config;
mod inputs;
mod keys;
mod nearest;
mod reference;
mod render;
mod schedules;
mod sections;
mod source;
mod text;
mod types;
mod value;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use environment::{Environment, SecretError};
pub use error::{Error, Written};
pub use inputs::{CLIENT_VARIABLE, Flag, Sources};
pub use keys::{KEYS, Key};
pub use nearest::nearest;
pub use reference::reference;
pub use sections::{
    Admin, Cache, Cluster, Dev, Handlers, KeyValue, Limits, Log, Outbound, Server, Setup, Socket,
};
pub use source::{FILE, Source};
pub use types::{
    Backend, CacheDir, Console, Format, Level, Listen, Network, Origins, SetCookie, Transport,
    canonical_origin,
};
pub use value::ValueKind;

use gather::Gathered;
use grant::Grant;

use crate::runtime::{BundlerBackend, HandlerSettings};

/// All settings, resolved. Two configurations are equal if every setting has the same value; the sources do not count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Settings of `[server]`.
    pub server: Server,
    /// Settings of `[socket]`.
    pub socket: Socket,
    /// Settings of `[handlers]`.
    pub handlers: Handlers,
    /// Settings of `[cache]`.
    pub cache: Cache,
    /// Settings of `[limits]` for the node. The other keys are defaults for handlers, see
    /// [`Config::handler_settings`].
    pub limits: Limits,
    /// Settings of `[outbound]`.
    pub outbound: Outbound,
    /// Settings of `[kv]`.
    pub kv: KeyValue,
    /// Settings of `[cluster]`.
    pub cluster: Cluster,
    /// Settings of `[admin]`.
    pub admin: Admin,
    /// Settings of `[log]`.
    pub log: Log,
    /// Settings of `[dev]`.
    pub dev: Dev,
    /// True if the answers of failed calls say what went wrong inside: under `hitchy dev`, and never by a setting.
    #[serde(skip)]
    pub tells_details: bool,
    /// What bundles scripts that import packages: under `hitchy dev`, and never by a setting.
    #[serde(skip)]
    pub bundler: Option<BundlerBackend>,
    /// Values from which the fields were filled, values of single handlers, and the sources of both.
    #[serde(skip)]
    gathered: Gathered,
}

/// Full keys (`server.listen`, `handler.chat.memory`) whose values differ between the settings of a running server
/// and newer ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys whose new values are applied while the server runs.
    pub live: Vec<String>,
    /// Keys whose new values take effect at the next start.
    pub restart: Vec<String>,
}

impl Changes {
    /// Returns true if no value differs.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

impl Config {
    /// Reads all sources. Nothing is kept from an earlier call, because reading one small file is cheap.
    ///
    /// # Errors
    /// Returns the first error in the sources, as a sentence for the person who wrote them.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let config = Self::from_gathered(gather::gather(sources)?);
        config.check()?;
        Ok(config)
    }

    /// Returns the settings of the handler `name`: the defaults for handlers, overridden by the sidecar, overridden
    /// by `[handler.NAME]`. Secrets have no values yet, see [`Environment::read_secrets`]. `name` is the path of the
    /// handler's file below the handlers folder without `.wasm`, with `/` between folders. `sidecar` is the path and
    /// the text of the handler's sidecar, if it has one.
    ///
    /// # Errors
    /// Returns an error if the sidecar is wrong or if a value grants more than the node has.
    pub fn handler_settings(
        &self,
        name: &str,
        sidecar: Option<(&Path, &str)>,
    ) -> Result<HandlerSettings, Error> {
        self.grant(name, sidecar)?.within(&self.limits)
    }

    /// Returns the environment, from which the secrets of handlers are read.
    pub fn environment(&self) -> Environment {
        self.gathered.environment.clone()
    }

    /// Returns the folder of compiled code: the one of the settings, or `hitchy` in the platform's cache folder
    /// (`$XDG_CACHE_HOME`, or `~/.cache`). `None` if the cache is off, or if there is no such folder because `HOME` is
    /// not set.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        match &self.cache.dir {
            Some(CacheDir::Off) => None,
            Some(CacheDir::At(dir)) => Some(dir.clone()),
            None => self.gathered.environment.cache_folder(),
        }
    }

    /// Returns the source of the value of `short`, a setting of the handler `name`, and the key by which it is set
    /// there: `memory` in a sidecar, `handler.chat.memory`, `limits.memory`. See [`Config::handler_settings`].
    ///
    /// # Errors
    /// Returns an error if the sidecar is wrong.
    pub fn handler_source(
        &self,
        name: &str,
        sidecar: Option<(&Path, &str)>,
        short: &str,
    ) -> Result<Option<(Source, String)>, Error> {
        Ok(self.grant(name, sidecar)?.source(short))
    }

    /// Merges the settings of the handler `name`.
    fn grant(&self, name: &str, sidecar: Option<(&Path, &str)>) -> Result<Grant, Error> {
        let mut grant = Grant::shared(&self.gathered, &self.limits);
        if let Some((path, text)) = sidecar {
            let from = Source::File(path.to_owned());
            let values = gather::for_handler(gather::parse(path, text)?, "", &from)?;
            grant.merge(&values, |short| (from.clone(), short.to_owned()));
        }
        if let Some(values) = self.gathered.handlers.get(name) {
            grant.merge(values, |short| {
                let key = gather::handler_key(name, short);
                (self.source(&key), key)
            });
        }
        Ok(grant)
    }

    /// Returns each section `[handler.NAME]`: the handler's name, the section as TOML writes it, and its source.
    pub fn handler_sections(&self) -> impl Iterator<Item = (&str, String, Source)> {
        self.gathered.handlers.keys().map(|name| {
            let section = gather::handler_section(name);
            let from = self.source(&section);
            (name.as_str(), section, from)
        })
    }

    /// Returns the settings that are in force after `newer` has been read while the server runs: the value of `newer`
    /// for each live key, and the value of `self` for each other key.
    #[must_use]
    pub fn with_live(&self, newer: &Self) -> Self {
        let mut gathered = newer.gathered.clone();
        for key in KEYS.iter().filter(|key| !key.live) {
            gathered.take_from(&self.gathered, key);
        }
        Self::from_gathered(gathered)
    }

    /// Returns the source of the value of the full key `key` (`server.listen`, `handler.chat.memory`).
    pub fn source(&self, key: &str) -> Source {
        self.gathered.source(key)
    }

    /// Returns the keys whose values differ in `newer`.
    pub fn changes(&self, newer: &Self) -> Changes {
        let (old, new) = (self.gathered.values(), newer.gathered.values());
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = keys
            .into_iter()
            .filter(|key| old.get(*key) != new.get(*key));
        let (live, restart) = differ.cloned().partition(|key| keys::is_live(key));
        Changes { live, restart }
    }

    /// Returns the settings as a settings file in which a comment names the source of each value.
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

    /// Checks the settings against each other: no handler may be granted more than the node has, and nothing that the
    /// server keeps for itself may be among the public files.
    fn check(&self) -> Result<(), Error> {
        self.check_folders()?;
        Grant::shared(&self.gathered, &self.limits).within(&self.limits)?;
        let mut names = self.gathered.handlers.keys();
        names.try_for_each(|name| self.handler_settings(name, None).map(drop))
    }

    /// Checks that key-value storage and compiled code, which lies there with its key, do not lie in the public folder.
    fn check_folders(&self) -> Result<(), Error> {
        let public = &self.server.public;
        let own = [
            ("kv.path", Some(self.kv.path.clone())),
            ("cache.dir", self.cache_folder()),
        ];
        for (key, folder) in own {
            if let Some(folder) = folder.filter(|folder| folder.starts_with(public)) {
                return Err(Error::IsPublic {
                    key,
                    folder,
                    public: public.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Default for Config {
    /// Returns the defaults. The folders among them start from the current directory.
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
