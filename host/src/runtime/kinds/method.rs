//! The methods of routes and policies.

use http::Method;

use super::kind::refuse;
use crate::runtime::error::LoadError;

/// Parses a method in upper case. Returns `None` for `""`, which stands for all methods.
pub(super) fn parse(name: &str) -> Result<Option<Method>, LoadError> {
    if name.is_empty() {
        return Ok(None);
    }
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if name.len() <= 32 && !name.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Ok(Some(method))
        }
        _ => refuse(format!(
            "{:?} is no method; write it in upper case, or \"\" for all",
            name.chars().take(40).collect::<String>()
        )),
    }
}

/// Returns the name of a method, or `*` for all.
pub(super) fn name(method: Option<&Method>) -> &str {
    method.map_or("*", Method::as_str)
}
