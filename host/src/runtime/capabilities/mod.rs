//! Capabilities of the host, which guests import: one file for each, and their list.

mod capability;
mod config;
mod instances;
mod keyvalue;
mod log;
pub(in crate::runtime) mod outgoing_http;
mod registration;
mod requests;
mod sockets;
mod types;
mod wasi;

pub use self::capability::ImportSupport;
pub use self::outgoing_http::destination::OutboundEntry;
pub use self::outgoing_http::{AllowedNetworks, OutgoingHttp, OutgoingSettings};

use wasmtime::component::Linker;

use self::capability::Capability;
use super::instance::state::State;

/// All capabilities of the host.
const CAPABILITIES: &[Capability] = &[
    types::CAPABILITY,
    sockets::CAPABILITY,
    requests::CAPABILITY,
    registration::CAPABILITY,
    log::CAPABILITY,
    instances::CAPABILITY,
    keyvalue::CAPABILITY,
    wasi::CAPABILITY,
    outgoing_http::CAPABILITY,
    config::CAPABILITY,
];

/// Adds all interfaces that guests may import to a linker.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    CAPABILITIES
        .iter()
        .try_for_each(|capability| (capability.link)(linker))
}

impl ImportSupport {
    /// Returns the support for an import, by its full name: `wasi:cli/exit@0.2.3`.
    pub fn of(import: &str) -> Self {
        let parts = || {
            let (interface, version) = import.split_once('@')?;
            let (package, name) = interface.split_once('/')?;
            Some((package, name, version))
        };
        let Some((package, name, version)) = parts() else {
            return Self::Unknown;
        };
        let mut interfaces = CAPABILITIES.iter().flat_map(|one| one.interfaces);
        interfaces
            .find(|interfaces| interfaces.contain(package, name, version))
            .map_or(Self::Unknown, |interfaces| interfaces.support)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_versions_that_are_linked_are_offered() {
        for (name, support) in [
            ("hitchy:platform/log@0.1.0", ImportSupport::Granted),
            ("hitchy:platform/types@0.1.7", ImportSupport::Granted),
            ("hitchy:platform/log@0.2.0", ImportSupport::Unknown),
            ("hitchy:platform/kv@0.1.0", ImportSupport::Unknown),
            ("wasi:io/streams@0.2.6", ImportSupport::Granted),
            ("wasi:cli/exit@0.2.3", ImportSupport::Granted),
            (
                "wasi:cli/stdin@0.2.3",
                ImportSupport::Empty("no terminal and no input"),
            ),
            ("wasi:io/streams@0.3.0", ImportSupport::Unknown),
            (
                "wasi:filesystem/types@0.2.0",
                ImportSupport::Empty("no files"),
            ),
            ("wasi:http/outgoing-handler@0.2.0", ImportSupport::Granted),
            ("wasi:http/types@0.2.12", ImportSupport::Granted),
            ("wasi:http/incoming-handler@0.2.0", ImportSupport::Unknown),
            ("wasi:http/types@0.3.0", ImportSupport::Unknown),
            ("wasi:config/store@0.2.0-rc.1", ImportSupport::Granted),
            ("wasi:config/runtime@0.2.0-draft", ImportSupport::Granted),
            ("wasi:config/store@0.2.0", ImportSupport::Unknown),
            ("run", ImportSupport::Unknown),
        ] {
            assert_eq!(ImportSupport::of(name), support, "{name}");
        }
    }
}
