//! The namespaces of listeners and connection hooks.

use super::kind::{check_text, refuse};
use crate::emitter::REQUESTS;
use crate::runtime::error::LoadError;

/// Refuses a text that is not the name of a namespace, and names that are reserved.
pub(super) fn check(namespace: &str) -> Result<(), LoadError> {
    check_text("namespace", namespace)?;
    let valid = namespace.starts_with('/') && !namespace.contains([',', '?', '#', ' ', '{', '}']);
    if !valid || (namespace.len() > 1 && namespace.ends_with('/')) {
        return refuse(format!(
            "the namespace {namespace:?} is not valid; write it as \"/\" or \"/name\""
        ));
    }
    if namespace.starts_with(&format!("{REQUESTS}/")) {
        return refuse(format!(
            "the namespace {namespace:?} is reserved; choose a name that is not below {REQUESTS}"
        ));
    }
    Ok(())
}
