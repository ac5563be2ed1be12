//! Merges the settings of one handler: the defaults for all handlers, overridden by the values for this handler.
//! Checks that the node has as much as these settings grant.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{Error, Written};
use super::gather::Gathered;
use super::keys::{self, KEYS};
use super::sections::Limits;
use super::source::Source;
use crate::runtime::HandlerSettings;

/// The settings of one handler while they are merged.
pub(super) struct Grant {
    values: Table,
    /// Source of each value and the key by which errors name it, by short key.
    sources: BTreeMap<String, (Source, String)>,
}

impl Grant {
    /// Returns the defaults for all handlers: the values of the table of keys and of `[limits]`. One handler gets
    /// three quarters of the node's concurrency, so that it cannot starve the other handlers.
    pub(super) fn shared(gathered: &Gathered, node: &Limits) -> Self {
        let mut grant = Self {
            values: Table::new(),
            sources: BTreeMap::new(),
        };
        for key in keys::per_handler() {
            if let Some(value) = gathered.value(key) {
                let source = (gathered.source(key.name), key.name.to_owned());
                grant.sources.insert(key.short().to_owned(), source);
                grant.values.insert(key.short().to_owned(), value.clone());
            }
        }
        let share = (node.concurrency * 3 / 4).max(1);
        grant.values.insert("concurrency".to_owned(), number(share));
        grant
    }

    /// Overrides the settings by `values`. `source` returns the source and the key for errors of a short key.
    pub(super) fn merge(&mut self, values: &Table, source: impl Fn(&str) -> (Source, String)) {
        for (short, value) in values {
            self.sources.insert(short.clone(), source(short));
            self.values.insert(short.clone(), value.clone());
        }
    }

    /// Returns the source of the value of a short key, and the key by which errors name it.
    pub(super) fn source(&self, short: &str) -> Option<(Source, String)> {
        self.sources.get(short).cloned()
    }

    /// Returns the settings if they grant no more memory and concurrency than the node has.
    pub(super) fn within(self, node: &Limits) -> Result<HandlerSettings, Error> {
        let memory_budget = node.memory_budget.unwrap_or(u64::MAX);
        self.at_most("memory", "limits.memory-budget", memory_budget)?;
        self.at_most("concurrency", "limits.concurrency", node.concurrency as u64)?;
        let secrets = self.source("secrets");
        let settings: HandlerSettings = self
            .values
            .try_into()
            .expect("each key for one handler is a field of the same name and kind");
        let is_twice = |name: &&str| settings.config.contains_key(*name);
        if let Some(name) = settings.secrets.names().find(is_twice) {
            let (from, key) = secrets.unwrap_or((Source::Default, "secrets".to_owned()));
            let name = name.to_owned();
            return Err(Error::SecretInConfig { from, key, name });
        }
        Ok(settings)
    }

    /// Returns an error if the value of `short` exceeds `limit`, which is the value of the key `other`.
    fn at_most(&self, short: &str, other: &'static str, limit: u64) -> Result<(), Error> {
        let value = &self.values[short];
        if value.as_integer().is_none_or(|value| value as u64 <= limit) {
            return Ok(());
        }
        let (from, key) = self.sources[short].clone();
        let kind = KEYS
            .iter()
            .find(|key| key.name == other)
            .map(|key| &key.kind);
        let write = |value: &Value| kind.map_or_else(String::new, |kind| kind.write(value));
        let written = Written {
            from,
            key,
            value: write(value),
        };
        Err(Error::Exceeds {
            written: Box::new(written),
            other,
            limit: write(&number(limit as usize)),
        })
    }
}

fn number(number: usize) -> Value {
    Value::Integer(number as i64)
}
