//! The name and the version of the contract between host and guests, which the folder `wit/` defines.

/// The name of the WIT package.
pub const PACKAGE: &str = "hitchy:platform";
/// The track of versions that this server supports. Versions of one track only add to it, so every one is compatible.
pub const TRACK: &str = "0.1";
/// The version whose interfaces are linked. wasmtime accepts other versions of the same track for it.
const VERSION: &str = "0.1.0";

/// Returns the full name of an interface of the contract: `hitchy:platform/http@0.1.0` for `http`.
pub(super) fn interface(name: &str) -> String {
    format!("{PACKAGE}/{name}@{VERSION}")
}

/// Splits the full name of an interface of the contract, of any version, into name and version: `("http", "0.1.0")`.
/// Returns `None` for every other name.
pub fn parts(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    rest.split_once('@')
}

/// Returns true if `version` (`0.1.3`) belongs to the track that this server supports.
pub(super) fn is_spoken(version: &str) -> bool {
    version
        .strip_prefix(TRACK)
        .is_some_and(|rest| rest.starts_with('.'))
}
