//! The contract between host and guests: the name and the version of its package, said once.

/// The package of the contract.
pub const PACKAGE: &str = "hitchy:platform";
/// The track of versions that this server speaks. Within a track only additions are made, so any version of it fits.
pub const TRACK: &str = "0.1";
/// The version whose interfaces are linked. wasmtime matches newer and older versions of the same track with it.
const VERSION: &str = "0.1.1";

/// Returns the whole name of an interface of the contract: `hitchy:platform/http@0.1.1` for `http`.
pub(super) fn interface(name: &str) -> String {
    format!("{PACKAGE}/{name}@{VERSION}")
}

/// Splits the name of an interface of the contract, of any version, into interface and version: `("http", "0.1.0")`.
/// Returns `None` for every other name.
pub fn parts(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    rest.split_once('@')
}

/// Returns the interfaces of the contract, of exactly the version that is linked, to which functions of a core module
/// belong: `["setup", "http"]` for `hitchy:platform/setup@0.1.1#describe` and `hitchy:platform/http@0.1.1#on-request`.
pub(super) fn of_functions(names: &[String]) -> Vec<&str> {
    let interfaces = names.iter().filter_map(|name| name.split_once('#'));
    let mut found: Vec<&str> = Vec::new();
    for (interface, version) in interfaces.filter_map(|(interface, _)| parts(interface)) {
        if version == VERSION && !found.contains(&interface) {
            found.push(interface);
        }
    }
    found
}

/// Returns true if `version` (`0.1.3`) belongs to `track` (`0.1`). A draft (`0.2.0-draft2`) is a track of its own.
pub(super) fn is_of(track: &str, version: &str) -> bool {
    version
        .strip_prefix(track)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
