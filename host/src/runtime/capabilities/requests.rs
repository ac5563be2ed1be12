//! `hitchy:platform/requests`: the request that a guest is answering, and requests of guests to other routes of this
//! server.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use wasmtime::component::{HasSelf, Resource};

use super::capability::{Capability, Interfaces};
use super::types::{Answer, answer, held};
use crate::message::{Door, Exchange, Request, is_hop_by_hop};
use crate::path::Target;
use crate::payload::Failure;
use crate::runtime::bindings::hitchy::platform::requests::{self, Host, HostRequest};
use crate::runtime::bindings::hitchy::platform::types::Response;
use crate::runtime::convert;
use crate::runtime::instance::handles::{RequestHandle, SocketHandle, StaleHandle};
use crate::runtime::instance::state::{Call, State};
use crate::sockets::Context;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["requests"])],
    link: |linker| requests::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

/// Largest number of nested dispatches.
const MAX_DEPTH: u32 = 4;

/// The number of dispatches that the call has made.
#[derive(Default)]
struct Dispatched(u32);

type Handle = Resource<RequestHandle>;

impl State {
    /// Returns the exchange of a handle, or that the handle is of an earlier call.
    fn held_exchange(&self, handle: &Handle) -> wasmtime::Result<Result<&Exchange, StaleHandle>> {
        Ok(self.handles()?.get(handle)?.map(|held| &*held.exchange))
    }

    /// Returns the exchange of a handle. A handle of an earlier call ends the call.
    fn exchange(&self, handle: &Handle) -> wasmtime::Result<&Exchange> {
        Ok(self.held_exchange(handle)??)
    }

    /// Returns the request of a handle.
    fn request(&self, handle: &Handle) -> wasmtime::Result<&Request> {
        Ok(&self.exchange(handle)?.request)
    }

    /// Counts a dispatch. Fails if the call may not dispatch, or has made as many dispatches as it may.
    fn count_dispatch(&mut self) -> Result<(), Failure> {
        self.serving()?;
        let state = self.call_mut()?;
        if state.call.depth >= MAX_DEPTH {
            return Err(Failure::new(
                508,
                format!("a request from inside may be {MAX_DEPTH} deep"),
            ));
        }
        let max = state.call.settings.dispatches_per_call;
        let Dispatched(dispatched) = state.notes();
        if *dispatched >= max {
            let message =
                format!("a call may dispatch {dispatched} times (limits.dispatches-per-call)");
            return Err(Failure::new(429, message));
        }
        *dispatched += 1;
        Ok(())
    }
}

impl Host for State {
    async fn dispatch(
        &mut self,
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Answer<Response> {
        let call = match self.count_dispatch() {
            Ok(()) => self.call()?.call.clone(),
            Err(failure) => return answer(Err(failure)),
        };
        let (size, max) = (body.len(), self.instance.services.sizes.largest());
        if size > max {
            let message = format!(
                "the body has {size} bytes; at most {max} are passed on (server.body-limit, server.answer-limit)"
            );
            return answer(Err(Failure::new(413, message)));
        }
        let request = match request_of(&call, &method, &url, headers, body) {
            Ok(request) => request,
            Err(failure) => return answer(Err(failure)),
        };
        let Some(dispatcher) = self.instance.services.dispatcher.get() else {
            return answer(Err(Failure::new(503, "the server is starting")));
        };
        let response = dispatcher
            .dispatch(request, call.depth + 1, call.remaining())
            .await;
        Ok(Ok(convert::response_to_guest(response)))
    }
}

/// Makes the request that a guest dispatches.
fn request_of(
    call: &Call,
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> Result<Request, Failure> {
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Failure::new(400, "the method is not a token (RFC 9110, 5.6.2)"))?;
    let target = Target::parse(url).map_err(|error| Failure::new(400, error.to_string()))?;
    let mut headers = convert::headers(headers)?;
    // The host frames messages itself.
    let framing: Vec<_> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name))
        .cloned()
        .collect();
    for name in framing {
        headers.remove(name);
    }
    Ok(Request {
        id: Arc::clone(&call.id),
        door: Door::Dispatch,
        method,
        target,
        headers,
        body: Bytes::from(body),
        remote: call.remote,
        socket: None,
        context: Context::default(),
    })
}

impl HostRequest for State {
    fn id(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.request(&this)?.id.to_string())
    }

    fn method(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.request(&this)?.method.to_string())
    }

    fn url(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.request(&this)?.target.to_string())
    }

    fn header(&mut self, this: Handle, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(convert::header_values(&self.request(&this)?.headers, &name))
    }

    fn headers(&mut self, this: Handle) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(convert::header_list(&self.request(&this)?.headers))
    }

    fn body(&mut self, this: Handle) -> wasmtime::Result<Vec<u8>> {
        Ok(self.request(&this)?.body.to_vec())
    }

    fn param(&mut self, this: Handle, name: String) -> wasmtime::Result<Option<String>> {
        let params = &self.handles()?.get(&this)??.params;
        Ok(params
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone()))
    }

    fn door(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.request(&this)?.door.name().to_owned())
    }

    fn remote(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.request(&this)?.remote.to_string())
    }

    fn socket(&mut self, this: Handle) -> wasmtime::Result<Option<Resource<SocketHandle>>> {
        let socket = self.request(&this)?.socket.clone();
        let handles = self.handles_mut()?;
        socket
            .map(|socket| handles.push(SocketHandle(socket)))
            .transpose()
    }

    fn get(&mut self, this: Handle, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.exchange(&this)?.get(&key))
    }

    fn set(&mut self, this: Handle, key: String, value: String) -> Answer<()> {
        answer(held!(self.held_exchange(&this)).set(key, value))
    }

    fn set_response_header(&mut self, this: Handle, name: String, value: String) -> Answer<()> {
        let exchange = held!(self.held_exchange(&this));
        answer(
            response_header(&name, &value)
                .and_then(|(name, value)| exchange.add_header(name, value)),
        )
    }

    fn deadline_ms(&mut self, _: Handle) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.call()?.call.remaining().as_millis()).unwrap_or(u32::MAX))
    }

    fn drop(&mut self, this: Handle) -> wasmtime::Result<()> {
        let _taken = self.handles_mut()?.delete(&this)?;
        Ok(())
    }
}

/// Checks a header that a policy adds to the response.
fn response_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let (name, value) = convert::header(name, value)?;
    if is_hop_by_hop(&name) {
        return Err(Failure::new(
            400,
            format!("the header {name} is the server's own"),
        ));
    }
    Ok((name, value))
}
