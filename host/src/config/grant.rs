//! Puts the settings of one handler together: the defaults for all handlers, over them what is written for this one,
//! and the check that the node has as much as they grant.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{Error, Written};
use super::gather::Gathered;
use super::keys::{self, KEYS};
use super::sections::Limits;
use super::source::Source;
use crate::runtime::HandlerSettings;

/// The settings of a handler while they are put together.
pub(super) struct Grant {
    values: Table,
    /// The source of each value, and the key under which it stands there.
    places: BTreeMap<String, (Source, String)>,
}

impl Grant {
    /// Begins with the defaults of the table of keys and `[limits]`. Of the node's concurrency one handler gets three
    /// quarters, so that it cannot starve the others.
    pub(super) fn shared(gathered: &Gathered, node: &Limits) -> Self {
        let mut grant = Self {
            values: Table::new(),
            places: BTreeMap::new(),
        };
        for key in keys::per_handler() {
            if let Some(value) = gathered.value(key) {
                let place = (gathered.source(key.name), key.name.to_owned());
                grant.places.insert(key.short().to_owned(), place);
                grant.values.insert(key.short().to_owned(), value.clone());
            }
        }
        let share = (node.concurrency * 3 / 4).max(1);
        grant.values.insert("concurrency".to_owned(), number(share));
        grant
    }

    /// Lays `values` over the present ones. `place` returns the source and the key of each.
    pub(super) fn lay(&mut self, values: &Table, place: impl Fn(&str) -> (Source, String)) {
        for (short, value) in values {
            self.places.insert(short.clone(), place(short));
            self.values.insert(short.clone(), value.clone());
        }
    }

    /// Returns the settings if the node has as much as they grant.
    pub(super) fn within(self, node: &Limits) -> Result<HandlerSettings, Error> {
        let memory_budget = node.memory_budget.unwrap_or(u64::MAX);
        self.at_most("memory", "limits.memory-budget", memory_budget)?;
        self.at_most("concurrency", "limits.concurrency", node.concurrency as u64)?;
        let settings = self.values.try_into();
        Ok(settings.expect("each key for one handler is a field of the same name and kind"))
    }

    fn at_most(&self, short: &str, other: &'static str, limit: u64) -> Result<(), Error> {
        let value = &self.values[short];
        if value.as_integer().is_none_or(|value| value as u64 <= limit) {
            return Ok(());
        }
        let (from, key) = self.places[short].clone();
        let kind = KEYS
            .iter()
            .find(|key| key.name == other)
            .map(|key| &key.kind);
        let write = |value: &Value| kind.map_or_else(String::new, |kind| kind.write(value));
        let value = write(value);
        Err(Error::Exceeds {
            written: Box::new(Written { from, key, value }),
            other,
            limit: write(&number(limit as usize)),
        })
    }
}

fn number(number: usize) -> Value {
    Value::Integer(number as i64)
}
