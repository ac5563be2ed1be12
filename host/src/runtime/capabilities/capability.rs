//! Capabilities: groups of interfaces that guests may import, with the function that links them.

use wasmtime::component::Linker;

use crate::runtime::instance::state::State;

/// The degree to which the host supports an interface that a guest imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportSupport {
    /// The interface works as specified.
    Granted,
    /// The interface is linked, because toolchains import it even if it is not needed, but it has no content. The text
    /// says what is missing: `no files`.
    Empty(&'static str),
    /// The host does not provide the interface, so it refuses the handler.
    Unknown,
}

/// A capability of the host. The linker, the sentences of refusals and `hitchy inspect` use the same list of them.
pub(super) struct Capability {
    /// The interfaces that `link` adds.
    pub(super) interfaces: &'static [Interfaces],
    /// Adds the interfaces to a linker.
    pub(super) link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

/// Interfaces of one package and track of versions.
pub(super) struct Interfaces {
    /// The name of the package: `wasi:cli`.
    pub(super) package: &'static str,
    /// The names of the interfaces. An empty list stands for all interfaces of the package.
    pub(super) names: &'static [&'static str],
    /// The start of the supported versions: `0.2.`.
    pub(super) track: &'static str,
    /// The degree to which the host supports all of them.
    pub(super) support: ImportSupport,
}

impl Interfaces {
    /// Makes interfaces of this server's own contract, which all work.
    pub(super) const fn of_contract(names: &'static [&'static str]) -> Self {
        Self {
            package: crate::runtime::contract::PACKAGE,
            names,
            track: "0.1.",
            support: ImportSupport::Granted,
        }
    }

    /// Returns true if an interface (`wasi:cli`, `exit`, `0.2.3`) is one of these.
    pub(super) fn contain(&self, package: &str, name: &str, version: &str) -> bool {
        self.package == package
            && (self.names.is_empty() || self.names.contains(&name))
            && version.starts_with(self.track)
    }
}
