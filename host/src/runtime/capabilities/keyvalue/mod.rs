//! `wasi:keyvalue`: buckets of keys with values, in two drafts of the standard.
//!
//! `operations` decides what a handler may do and does it; `draft2` and `draft` are the two drafts over it. A guest
//! that waits for the disk uses no processor time, and its call's deadline bounds the wait. A change whose call ended
//! meanwhile may still be committed.

mod draft;
mod draft2;
mod operations;

use super::capability::{Capability, ImportSupport, Interfaces};

const PACKAGE: &str = "wasi:keyvalue";
const NAMES: &[&str] = &["store", "atomics", "batch"];

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[
        Interfaces {
            package: PACKAGE,
            names: NAMES,
            track: draft2::VERSION,
            support: ImportSupport::Granted,
        },
        Interfaces {
            package: PACKAGE,
            names: NAMES,
            track: draft::VERSION,
            support: ImportSupport::Granted,
        },
    ],
    link: |linker| {
        draft2::link(linker)?;
        draft::link(linker)
    },
};
