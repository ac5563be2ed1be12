//! The table that answers says if it may: not before the folder has been read, and not without the handlers that guard.

use http::Method;

use super::answer::{Refusal, error_response};
use crate::message::{Exchange, Response};
use crate::registry::Table;

/// Fails if nothing that comes may be answered by this table.
pub(super) fn readiness_of(table: &Table) -> Result<(), Refusal> {
    if !table.ready {
        return Err(Refusal::Starting);
    }
    if !table.missing.is_empty() {
        return Err(Refusal::Unguarded);
    }
    Ok(())
}

/// Fails if a request may not be answered by this table.
pub(super) fn admit(table: &Table, method: &Method, path: &str) -> Result<(), Refusal> {
    match readiness_of(table) {
        Err(Refusal::Starting) if table.has_certain(method, path) => Ok(()),
        readiness => readiness,
    }
}

/// Returns the answer of a request that may not be answered by this table. The table that accepted it may have been
/// another one, and requests of handlers are not asked before.
pub(super) fn refuse(table: &Table, exchange: &Exchange) -> Option<Response> {
    let request = &exchange.request;
    let refusal = admit(table, &request.method, &request.target.path).err()?;
    Some(error_response(&request.id, &refusal.failure()).into())
}
