//! Bodies of `wasi:http` that a guest was writing when its instance ended.

use std::mem;

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

/// Breaks all bodies in a table that were not finished, so that their receivers get an error.
///
/// wasmtime-wasi-http 48 takes a body that is dropped together with its store for a finished one: a guest that traps in
/// the middle of its answer would seem to have sent all of it. A guest that returns without finishing a body is let
/// pass, as other hosts do, because the JavaScript engine of componentize-js answers so when a script has failed.
pub(super) fn abort_unfinished(table: &mut ResourceTable) {
    for body in unfinished(table) {
        let (nothing, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
        mem::replace(body, nothing).abort();
    }
}

/// Returns true if a body in a table was not finished. Only the end of the instance ends it, with its stream.
pub(super) fn are_unfinished(table: &mut ResourceTable) -> bool {
    unfinished(table).next().is_some()
}

fn unfinished(table: &mut ResourceTable) -> impl Iterator<Item = &mut HostOutgoingBody> {
    table.iter_mut().filter_map(|entry| {
        let entry: &mut dyn std::any::Any = entry;
        entry.downcast_mut::<HostOutgoingBody>()
    })
}
