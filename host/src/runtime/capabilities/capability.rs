//! A capability: interfaces that guests may import, and how they are linked.

use wasmtime::component::Linker;

use crate::runtime::contract;
use crate::runtime::instance::state::State;

/// The support for an interface that a guest imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportSupport {
    /// The interface works.
    Granted,
    /// The interface is there, because toolchains import it without need, but does nothing: why, in a few words.
    Empty(&'static str),
    /// Nothing provides it: the handler is refused.
    Unknown,
}

/// A capability of the host. The linker, the sentences of refusals and `hitchy inspect` all read the one list of them.
pub(super) struct Capability {
    /// The interfaces that it links.
    pub(super) interfaces: &'static [Interfaces],
    /// Links the interfaces.
    pub(super) link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Interfaces of one package and track of versions.
pub(super) struct Interfaces {
    /// The package: `wasi:cli`.
    pub(super) package: &'static str,
    /// The names of the interfaces; an empty list stands for all of the package.
    pub(super) names: &'static [&'static str],
    /// The track of their versions: `0.2`. A draft (`0.2.0-rc.1`) is a track of its own.
    pub(super) track: &'static str,
    /// The support for all of them.
    pub(super) support: ImportSupport,
}

impl Interfaces {
    /// Interfaces of this server's own contract, which all work.
    pub(super) const fn of_contract(names: &'static [&'static str]) -> Self {
        Self {
            package: contract::PACKAGE,
            names,
            track: contract::TRACK,
            support: ImportSupport::Granted,
        }
    }

    /// Returns true if an interface (`wasi:cli`, `exit`, `0.2.3`) is one of these.
    pub(super) fn contain(&self, package: &str, name: &str, version: &str) -> bool {
        self.package == package
            && (self.names.is_empty() || self.names.contains(&name))
            && (self.track == version || contract::is_of(self.track, version))
    }
}
