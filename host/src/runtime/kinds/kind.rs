//! The trait that every kind of declaration implements, and the rows in which tables show declarations of every kind.

use std::any::Any;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::runtime::error::LoadError;
use crate::runtime::instance::state::State;

/// Largest size of one text of a declaration in bytes.
pub(in crate::runtime) const MAX_TEXT: usize = 1024;

/// A reason to call a handler, for example `request`, `before` or `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallKind {
    /// The name that metrics use, unique among all calls.
    pub name: &'static str,
}

/// The words for a kind of declaration.
#[derive(Debug)]
pub struct Words {
    /// The key in JSON, and the name of the row that `hitchy inspect` prints: `hooks`.
    pub key: &'static str,
    /// The title of a table: `connection hooks`.
    pub title: &'static str,
    /// One declaration with its article: `a connection hook`.
    pub one: &'static str,
    /// The interface of the contract that a handler with such a declaration has to export: `connections`.
    pub interface: &'static str,
}

/// A kind of declaration. A value of the type is one declaration that was checked.
pub(in crate::runtime) trait Kind: Sized + 'static {
    /// The arguments that the guest passed to the registrar, unchecked.
    type Raw;
    /// The generated indices of the export interface.
    type Export: Send + Sync + 'static;
    /// The generated functions of the export interface in one instance.
    type Loaded: Any + Clone + Send;

    /// The words for the kind.
    const WORDS: Words;
    /// The calls that declarations of the kind cause, in the order in which metrics list them.
    const CALLS: &'static [CallKind];

    /// Checks the arguments of one declaration.
    fn check(raw: Self::Raw) -> Result<Self, LoadError>;

    /// Returns a warning about a declaration that is valid but probably a mistake, as a sentence.
    fn warning(_raw: &Self::Raw) -> Option<String> {
        None
    }

    /// Checks all declarations of a handler against each other.
    fn check_all(_all: &[Self]) -> Result<(), LoadError> {
        Ok(())
    }

    /// Looks up the export interface.
    fn export(pre: &InstancePre<State>) -> wasmtime::Result<Self::Export>;

    /// Looks up the functions of the export interface in an instance. Fails if they are not those of the contract.
    fn load(
        export: &Self::Export,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Loaded>;

    /// Returns the calls that this declaration causes.
    fn calls(&self) -> &'static [CallKind] {
        Self::CALLS
    }

    /// Returns the row in which tables show the declaration.
    fn row(&self) -> Row<'_>;
}

/// Implements the export interface of a [`Kind`] with the generated module of the interface, whose types share no
/// trait.
macro_rules! impl_export {
    ($interface:ident) => {
        type Export = $interface::GuestIndices;
        type Loaded = $interface::Guest;

        fn export(
            pre: &wasmtime::component::InstancePre<crate::runtime::instance::state::State>,
        ) -> wasmtime::Result<$interface::GuestIndices> {
            $interface::GuestIndices::new(pre)
        }

        fn load(
            export: &$interface::GuestIndices,
            store: &mut wasmtime::Store<crate::runtime::instance::state::State>,
            instance: &wasmtime::component::Instance,
        ) -> wasmtime::Result<$interface::Guest> {
            export.load(store, instance)
        }
    };
}
pub(super) use impl_export;

/// A declaration as tables show it.
pub struct Row<'a> {
    /// The declaration in a few words: `GET /a`.
    pub line: String,
    /// The names and values of its cells: `[("method", "GET"), ("path", "/a")]`.
    pub cells: Vec<(&'static str, &'a str)>,
    /// The key by which tables sort rows of one kind that come from several handlers.
    pub sort_key: [&'a str; 2],
}

/// The declarations of one kind in one handler, in the order in which they were declared.
pub struct Rows<'a> {
    /// The words for the kind.
    pub words: &'static Words,
    /// One row for each declaration.
    pub rows: Vec<Row<'a>>,
}

/// Refuses a declaration with a sentence.
pub(super) fn refuse<T>(sentence: String) -> Result<T, LoadError> {
    Err(LoadError::Declaration(sentence))
}

/// Refuses a text that is too long or contains a control character. The sentence names the text by `kind`.
pub(super) fn check_text(kind: &str, text: &str) -> Result<(), LoadError> {
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        let start: String = text.chars().take(40).collect();
        return refuse(format!(
            "the {kind} {start:?} is longer than {MAX_TEXT} bytes or contains a control character"
        ));
    }
    Ok(())
}

impl Serialize for Row<'_> {
    /// Writes the cells as an object.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.cells.iter().copied())
    }
}

impl Serialize for Rows<'_> {
    /// Writes a list with an object for each row, or with the value alone if a row has one cell.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in &self.rows {
            match row.cells.as_slice() {
                [(_, value)] => list.serialize_element(value)?,
                _ => list.serialize_element(row)?,
            }
        }
        list.end()
    }
}
