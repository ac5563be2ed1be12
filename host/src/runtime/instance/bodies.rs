//! Resources of `wasi:http` that a guest has not dropped at the end of its call or of its instance.

use std::any::Any;
use std::mem;

use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::body::{
    HostFutureTrailers, HostIncomingBody, HostOutgoingBody, StreamContext,
};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest,
    HostOutgoingResponse, HostResponseOutparam,
};
use wasmtime_wasi_http::{FieldMap, RequestOptions};

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

/// Returns true if a table has a resource of `wasi:http`, which the guest could use in a later call. The streams of
/// bodies are there only as long as their bodies.
pub(super) fn are_left(table: &mut ResourceTable) -> bool {
    table.iter_mut().any(|entry| is_of_http(entry))
}

fn is_of_http(entry: &dyn Any) -> bool {
    entry.is::<FieldMap>()
        || entry.is::<RequestOptions>()
        || entry.is::<HostIncomingRequest>()
        || entry.is::<HostResponseOutparam>()
        || entry.is::<HostOutgoingResponse>()
        || entry.is::<HostOutgoingRequest>()
        || entry.is::<HostFutureIncomingResponse>()
        || entry.is::<HostIncomingResponse>()
        || entry.is::<HostIncomingBody>()
        || entry.is::<HostFutureTrailers>()
        || entry.is::<HostOutgoingBody>()
}

fn unfinished(table: &mut ResourceTable) -> impl Iterator<Item = &mut HostOutgoingBody> {
    table.iter_mut().filter_map(|entry| {
        let entry: &mut dyn Any = entry;
        entry.downcast_mut::<HostOutgoingBody>()
    })
}
