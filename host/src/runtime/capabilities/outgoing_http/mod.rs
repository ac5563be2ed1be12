//! `wasi:http`, its types and its outgoing handler: requests of guests to other servers.
//!
//! The crate wasmtime-wasi-http has the resources. Its hooks send a request, and ours refuse all of them for now.

use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::capability::{Capability, ImportSupport, Interfaces};
use crate::runtime::instance::state::State;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces {
        package: "wasi:http",
        names: &["types", "outgoing-handler"],
        track: "0.2",
        support: ImportSupport::Granted,
    }],
    link: wasmtime_wasi_http::p2::add_only_http_to_linker_async,
};

/// Bytes that a guest may write to a body at once. Two such pieces of each body may wait to be sent.
const MAX_WRITE: usize = 64 << 10;

/// The hooks of one call, made when the guest first uses wasi:http.
#[derive(Default)]
struct Hooks;

/// The future of a response, and the future that ends when its body was received.
type Sent = Box<
    dyn Future<
            Output = Result<
                (
                    http::Response<WasiBody>,
                    Box<dyn Future<Output = Result<(), Error>> + Send>,
                ),
                Error,
            >,
        > + Send,
>;

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_WRITE
    }

    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (instance, call) = self.parts_mut();
        let hooks = match call {
            Some(call) => call.notes::<Hooks>(),
            // A value without a size takes no memory, so nothing is lost here.
            None => Box::leak(Box::new(Hooks)),
        };
        WasiHttpCtxView {
            hooks,
            table: &mut instance.table,
            ctx: &mut instance.http,
        }
    }
}
