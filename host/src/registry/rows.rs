//! The declarations of all handlers together, as the console and `hitchy routes` list them.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::served::Served;
use crate::runtime::kinds::WORDS;
use crate::runtime::kinds::kind::{Row, Words};

/// The declarations of one kind in all handlers, in the order of their tables.
pub struct KindRows<'a> {
    /// The words for the kind.
    pub words: &'static Words,
    /// One row for each declaration.
    pub rows: Vec<HandlerRow<'a>>,
}

/// A declaration with the name of its handler.
pub struct HandlerRow<'a> {
    /// The row of the declaration.
    pub row: Row<'a>,
    /// The name of the handler's file.
    pub handler: &'a str,
}

/// Returns the declarations of `handlers`, kind by kind. Rows of one kind are sorted, and those that are equal in that
/// order stay in the order of the handlers.
pub fn rows_of(handlers: &[Arc<Served>]) -> Vec<KindRows<'_>> {
    let mut kinds: Vec<KindRows<'_>> = WORDS
        .iter()
        .map(|words| KindRows {
            words,
            rows: Vec::new(),
        })
        .collect();
    for handler in handlers {
        for (kind, declared) in kinds.iter_mut().zip(handler.declarations.rows()) {
            let name: &str = &handler.name;
            let rows = declared.rows.into_iter();
            kind.rows
                .extend(rows.map(|row| HandlerRow { row, handler: name }));
        }
    }
    for kind in &mut kinds {
        kind.rows.sort_by_key(|one| one.row.sort_key);
    }
    kinds
}

impl Serialize for HandlerRow<'_> {
    /// Writes the cells and `handler` as one object.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let handler = ("handler", self.handler);
        serializer.collect_map(self.row.cells.iter().copied().chain([handler]))
    }
}
