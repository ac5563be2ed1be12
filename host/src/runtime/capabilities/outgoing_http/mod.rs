//! `wasi:http`, its types and its outgoing handler: requests of guests to other servers.
//!
//! The crate wasmtime-wasi-http has the resources, and its hooks send a request. Ours check that the handler may call
//! the destination, and pass the request to the [`OutgoingHttp`] of the node. A guest can resolve no names, open no
//! connections and set no `host` by itself.

mod address;
mod body;
pub(in crate::runtime) mod destination;
mod errors;
mod fair_semaphore;
mod grant;
mod pool;
mod resolver;
mod sender;
#[cfg(test)]
mod tests;
mod tls;

pub use self::sender::{AllowedNetworks, OutgoingHttp, OutgoingSettings};

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::IoError;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use self::destination::Destination;
use self::grant::{Grant, Turns};
use super::capability::{Capability, ImportSupport, Interfaces};
use crate::metrics::{Metrics, OutgoingOutcome};
use crate::runtime::instance::state::{CallState, InstanceState, Phase, State};
use crate::runtime::settings::HandlerSettings;
use crate::text::visible;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces {
        package: "wasi:http",
        names: &["types", "outgoing-handler"],
        track: "0.2",
        support: ImportSupport::Granted,
    }],
    link,
};

/// Links the interfaces of the crate, with another `http-error-code`.
///
/// That of the crate (wasmtime-wasi-http 48) does not find the error of a body, because it looks for the type of the
/// bindings, and bodies fail with the type of the crate.
fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
            let WasiHttpCtxView { table, .. } = store.data_mut().http();
            Ok((errors::code(table.get(&error)?),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Bytes that a guest may write to a body at once. Two such pieces of each body may wait to be sent.
const MAX_WRITE: usize = 64 << 10;
/// The interface with the resources, in the version that the crate links.
const TYPES: &str = "wasi:http/types@0.2.12";

/// The future that ends when the body of a response was received.
type Received = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The future of a response.
type Sent = Box<dyn Future<Output = Result<(Response<WasiBody>, Received), Error>> + Send>;

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (instance, call) = self.parts_mut();
        let hooks: &mut dyn WasiHttpHooks = match call {
            Some(call) => hooks_of(instance, call),
            // A value without a size takes no memory, so nothing is lost here.
            None => Box::leak(Box::new(NoCallHooks)),
        };
        WasiHttpCtxView {
            hooks,
            table: &mut instance.table,
            ctx: &mut instance.http,
        }
    }
}

/// Returns the hooks of a call, which are made when the guest first uses wasi:http.
fn hooks_of<'a>(instance: &InstanceState, call: &'a mut CallState) -> &'a mut Hooks {
    // An answer that streams moves the end of its call.
    let (settings, until) = (Arc::clone(&call.call.settings), call.call.end());
    let is_serving = call.call.phase != Phase::Describe;
    let Hooks(made) = call.notes();
    if let Some(made) = made {
        made.until = until;
    } else {
        let sender = instance.services.backends.get::<OutgoingHttp>();
        *made = Some(OutgoingCall {
            handler: Arc::clone(instance.output.handler()),
            sender: sender.filter(|_| is_serving).cloned(),
            until,
            parallel: Arc::new(Semaphore::new(settings.outbound_parallel)),
            sent: 0,
            turns: Turns::default(),
            ended: CancellationToken::new().drop_guard(),
            settings,
        });
    }
    call.notes()
}

/// The hooks of an instance in which no call runs: nothing is sent.
struct NoCallHooks;

impl WasiHttpHooks for NoCallHooks {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Received,
    ) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

/// The hooks of a call; `None` before the first use.
#[derive(Default)]
struct Hooks(Option<OutgoingCall>);

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_WRITE
    }

    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Received,
    ) -> Sent {
        let Some(call) = &mut self.0 else {
            return Box::new(async { Err(Error::HttpRequestDenied) });
        };
        let admitted = call.admit(request.uri(), options.unwrap_or_default());
        Box::new(async move {
            let (sender, destination, grant) = admitted?;
            let response = sender.send(request, destination, grant).await?;
            let received: Received = Box::new(async { Ok(()) });
            Ok((response, received))
        })
    }
}

/// The requests of one call.
struct OutgoingCall {
    handler: Arc<str>,
    settings: Arc<HandlerSettings>,
    /// `None` in `describe`, which may send nothing.
    sender: Option<OutgoingHttp>,
    /// The time at which the call ends, as things are now.
    until: Instant,
    /// The places of requests that are under way.
    parallel: Arc<Semaphore>,
    /// Requests that the call has sent.
    sent: u32,
    turns: Turns,
    /// Ends the requests together with the call, also in an instance that is kept.
    ended: DropGuard,
}

impl OutgoingCall {
    /// Checks that the call may send a request, and counts it.
    fn admit(
        &mut self,
        uri: &Uri,
        options: RequestOptions,
    ) -> Result<(OutgoingHttp, Destination, Grant), Error> {
        let sender = self.sender.as_ref().ok_or(Error::HttpRequestDenied)?;
        let metrics = sender.metrics();
        let destination = self.destination(uri, metrics)?;
        let settings = &self.settings;
        if self.sent >= settings.outbound_per_call {
            let text = format_args!(
                "a call may send {} requests to other servers (limits.outbound-per-call)",
                self.sent
            );
            log(metrics, OutgoingOutcome::Limited, &self.handler, text);
            return Err(Error::ConnectionLimitReached);
        }
        self.sent += 1;
        let grant = Grant {
            handler: Arc::clone(&self.handler),
            end: self.until.min(Instant::now() + settings.outbound_time),
            bytes: settings.outbound_bytes,
            turn: Some(self.turns.next()),
            parallel: Arc::clone(&self.parallel),
            ended: self.ended.token().clone(),
            options,
        };
        Ok((sender.clone(), destination, grant))
    }

    /// Returns the destination of a request if the handler may call it.
    fn destination(&self, uri: &Uri, metrics: &Metrics) -> Result<Destination, Error> {
        let refused = OutgoingOutcome::Refused;
        let destination = match Destination::of(uri) {
            Ok(destination) => destination,
            Err(cause) => {
                // The path may hold secrets, and so may what is before the host.
                let authority = uri.authority().map_or("", |authority| authority.as_str());
                let host = authority.rsplit('@').next().unwrap_or_default();
                let text = format_args!(
                    "a request to {:?} was refused, because {cause}",
                    visible(host)
                );
                log(metrics, refused, &self.handler, text);
                return Err(Error::HttpRequestUriInvalid);
            }
        };
        let allowed = &self.settings.outbound;
        if !allowed.iter().any(|entry| entry.allows(&destination)) {
            let name = crate::names::bare(&self.handler);
            let text = format_args!(
                "a request to {destination} was refused; if the handler may call it, add \"{destination}\" to `outbound` of \
                 {name}.toml"
            );
            log(metrics, refused, &self.handler, text);
            return Err(Error::HttpRequestDenied);
        }
        Ok(destination)
    }
}

/// Counts a request that is not sent, and logs it unless there were too many of such lines.
fn log(metrics: &Metrics, outcome: OutgoingOutcome, handler: &str, text: std::fmt::Arguments<'_>) {
    metrics.outgoing.ended(outcome);
    if metrics.outgoing.logged.count().is_some() {
        tracing::warn!(handler = %visible(handler), "{text}");
    }
}
