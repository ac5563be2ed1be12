//! The kinds of declaration, one file each, and their list.
//!
//! A handler declares routes, policies, listeners, connection hooks and schedules in `describe`. The file of a kind has
//! its checked type, its words, its export interface and its calls. A new kind is a new file and a line in the list
//! below: code that shows declarations reads rows and does not name kinds.

pub mod connection;
pub mod kind;
pub mod listener;
mod method;
mod namespace;
pub mod policy;
pub mod route;
pub mod schedule;

use std::fmt;

use serde::{Serialize, Serializer};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use self::connection::ConnectionHook;
use self::kind::{CallKind, Kind, MAX_TEXT, Rows, Words, refuse};
use self::listener::Listener;
use self::policy::Policy;
use self::route::Route;
use self::schedule::Schedule;
use super::error::LoadError;
use super::exports::Exports;
use super::instance::state::State;

/// Declarations of one kind that a handler may have.
const MAX_COUNT: usize = 256;
/// Declarations of one kind that are kept until the check: one more than allowed, so that the check sees the excess.
pub(super) const KEPT_COUNT: usize = MAX_COUNT + 1;
/// Bytes of a text that are kept until the check: more than allowed, so that the check sees the excess. A character has
/// up to four bytes, so one byte more would not be enough.
pub(super) const KEPT_TEXT: usize = MAX_TEXT + 8;

/// Generates the code that names every kind from the list of kinds.
macro_rules! kinds {
    ($($list:ident: $kind:ty),+ $(,)?) => {
        /// The declarations that a handler made in `describe`, unchecked.
        #[derive(Default)]
        pub(crate) struct Description {
            $(pub(super) $list: Vec<<$kind as Kind>::Raw>,)+
        }

        /// The checked declarations of a handler. The guest is called with the index of a declaration in its list.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Declarations {
            $(pub $list: Vec<$kind>,)+
            /// Warnings about declarations that are valid but probably mistakes, each a sentence.
            pub warnings: Vec<String>,
        }

        /// The words of all kinds, in the order in which they are shown.
        pub const WORDS: &[Words] = &[$(<$kind as Kind>::WORDS,)+];

        /// All reasons to call a handler, in the order in which metrics list them.
        pub const CALLS: [CallKind; 0 $(+ <$kind as Kind>::CALLS.len())+] =
            all_calls([$(<$kind as Kind>::CALLS),+]);

        impl Declarations {
            /// Checks the declarations of `describe`, one by one and against each other.
            pub(super) fn check(description: Description) -> Result<Self, LoadError> {
                let mut warnings = Vec::new();
                $(let $list = check_list::<$kind>(description.$list, &mut warnings)?;)+
                Ok(Self { $($list,)+ warnings })
            }

            /// Returns true if nothing is declared.
            pub fn is_empty(&self) -> bool {
                $(self.$list.is_empty())&&+
            }

            /// Returns true if a declaration of the handler causes this call.
            pub fn are_called_for(&self, call: CallKind) -> bool {
                $(self.$list.iter().any(|one| one.calls().contains(&call)))||+
            }

            /// Returns all declarations by kind, in the order of [`WORDS`].
            pub fn rows(&self) -> Vec<Rows<'_>> {
                vec![$(rows_of(&self.$list),)+]
            }

            /// Refuses a declaration whose export interface is missing.
            pub(super) fn check_exports(&self, exports: &Exports) -> Result<(), LoadError> {
                $(check_export(&self.$list, exports)?;)+
                Ok(())
            }
        }

        impl Exports {
            /// Looks up the export interface of every kind.
            pub(super) fn add_kinds(
                &mut self,
                component: &Component,
                pre: &InstancePre<State>,
            ) -> Result<(), LoadError> {
                $(self.add(<$kind>::WORDS.interface, component, pre, <$kind>::export)?;)+
                Ok(())
            }

            /// Fails if the functions of an interface are not those of the contract.
            pub(super) fn fit_kinds(
                &self,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<()> {
                $(if let Some(export) = self.find() {
                    <$kind>::load(export, store, instance)?;
                })+
                Ok(())
            }
        }
    };
}

kinds! {
    routes: Route,
    policies: Policy,
    listeners: Listener,
    connections: ConnectionHook,
    schedules: Schedule,
}

/// Returns the calls of all kinds as one list. `N` is the number of calls, `K` that of kinds.
const fn all_calls<const N: usize, const K: usize>(kinds: [&[CallKind]; K]) -> [CallKind; N] {
    let mut all = [CallKind { name: "" }; N];
    let (mut at, mut kind) = (0, 0);
    while kind < K {
        let mut call = 0;
        while call < kinds[kind].len() {
            all[at] = kinds[kind][call];
            call += 1;
            at += 1;
        }
        kind += 1;
    }
    all
}

/// Checks the declarations of one kind.
fn check_list<K: Kind>(raw: Vec<K::Raw>, warnings: &mut Vec<String>) -> Result<Vec<K>, LoadError> {
    if raw.len() > MAX_COUNT {
        return refuse(format!(
            "it declares more than {MAX_COUNT} {}; split it into several handlers",
            K::WORDS.title
        ));
    }
    for warning in raw.iter().filter_map(K::warning) {
        // Several declarations may be about one namespace.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let checked: Vec<K> = raw.into_iter().map(K::check).collect::<Result<_, _>>()?;
    K::check_all(&checked)?;
    Ok(checked)
}

/// Returns the rows of the declarations of one kind.
fn rows_of<K: Kind>(list: &[K]) -> Rows<'_> {
    Rows {
        words: const { &K::WORDS },
        rows: list.iter().map(K::row).collect(),
    }
}

/// Refuses declarations of one kind if its export interface is missing.
fn check_export<K: Kind>(list: &[K], exports: &Exports) -> Result<(), LoadError> {
    if list.is_empty() || exports.find::<K::Export>().is_some() {
        return Ok(());
    }
    let Words { one, interface, .. } = K::WORDS;
    let package = super::contract::PACKAGE;
    refuse(format!(
        "it declares {one} but does not export {package}/{interface}; export it, or remove the declaration"
    ))
}

impl Declarations {
    /// Makes the declarations of a handler that has one route and declares nothing itself.
    pub(super) fn of_route(route: Route) -> Self {
        Self {
            routes: vec![route],
            ..Self::default()
        }
    }

    /// Returns each declaration in a few words: `GET /a`, `before * /api`, `event say`, `connections of /`.
    pub fn lines(&self) -> Vec<String> {
        let rows = self.rows().into_iter().flat_map(|kind| kind.rows);
        rows.map(|row| row.line).collect()
    }
}

impl fmt::Display for Declarations {
    /// Writes [`Declarations::lines`] in one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        if lines.is_empty() {
            return formatter.write_str("it declares nothing");
        }
        formatter.write_str(&lines.join(", "))
    }
}

impl Serialize for Declarations {
    /// Writes `{"routes": [{"method": "GET", "path": "/a"}], "hooks": ["/"], …}`: a list for each kind, in the order of
    /// declaration. A declaration with one cell is that cell's value.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rows().into_iter().map(|kind| (kind.words.key, kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::policy::Stage;
    use super::*;

    #[test]
    fn l14_too_many_declarations_are_refused() {
        let routes = (0..257)
            .map(|index| (String::new(), format!("/{index}")))
            .collect();
        let error = Declarations::check(Description {
            routes,
            ..Description::default()
        })
        .unwrap_err();
        assert!(
            error.to_string().contains("more than 256 routes"),
            "{error}"
        );
    }

    #[test]
    fn what_is_hardly_meant_is_warned_of() {
        let policy = |prefix: &str| (Stage::Before, String::new(), prefix.to_owned());
        let declarations = Declarations::check(Description {
            routes: vec![("GET".to_owned(), "/x/:id".to_owned())],
            policies: vec![policy("/api"), policy("/api/*"), policy("/users/{id}")],
            ..Description::default()
        });
        let warnings = declarations.unwrap().warnings;
        assert_eq!(
            warnings[0],
            "the route /x/:id takes \":id\" literally; written {id} it is a parameter"
        );
        assert!(
            warnings[1].contains("/api/*") && warnings[2].contains("/users/{id}"),
            "{warnings:?}"
        );
        assert_eq!(warnings.len(), 3);
    }

    #[test]
    fn the_same_route_twice_in_one_file_is_refused() {
        let routes = vec![
            ("GET".to_owned(), "/a/{x}".to_owned()),
            ("GET".to_owned(), "/a/{y}".to_owned()),
        ];
        assert!(
            Declarations::check(Description {
                routes,
                ..Description::default()
            })
            .is_err()
        );
    }

    #[test]
    fn every_kind_of_call_has_a_name_of_its_own() {
        let mut names: Vec<_> = CALLS.iter().map(|call| call.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CALLS.len());
    }
}
