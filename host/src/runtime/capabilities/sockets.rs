//! `hitchy:platform/sockets`: the interface of the socket.io server for guests.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Resource};

use super::capability::{Capability, Interfaces};
use super::types::{Answer, answer, held};
use crate::emitter::{self, Emitter, MAX_NAME};
use crate::payload::Failure;
use crate::runtime::bindings::hitchy::platform::sockets::{self, Audience, Host, HostSocket};
use crate::runtime::bindings::hitchy::platform::types::{self, Payload};
use crate::runtime::convert;
use crate::runtime::instance::handles::{SocketHandle, StaleHandle};
use crate::runtime::instance::state::{Phase, State};
use crate::sockets::Connection;

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[Interfaces::of_contract(&["sockets"])],
    link: |linker| sockets::add_to_linker::<State, HasSelf<State>>(linker, |state| state),
};

/// Rooms that one call of `join` or `leave` may name.
const MAX_ROOMS_AT_ONCE: usize = 256;

type Handle = Resource<SocketHandle>;

/// Events and bytes that the call has emitted.
#[derive(Default)]
struct Emitted {
    events: u32,
    bytes: usize,
}

impl State {
    /// Returns the connection of a handle, or that the handle is of an earlier call.
    fn held_connection(
        &self,
        handle: &Handle,
    ) -> wasmtime::Result<Result<Arc<Connection>, StaleHandle>> {
        let held = self.handles()?.get(handle)?;
        Ok(held.map(|held| Arc::clone(&held.0)))
    }

    /// Returns the connection of a handle. A handle of an earlier call ends the call.
    fn connection(&self, handle: &Handle) -> wasmtime::Result<Arc<Connection>> {
        Ok(self.held_connection(handle)??)
    }

    /// Returns the emitter of the server.
    fn emitter(&self) -> Result<Emitter, Failure> {
        let emitter = self.instance.services.backends.get::<Emitter>();
        emitter
            .cloned()
            .ok_or_else(|| Failure::new(503, "this server has no sockets"))
    }

    /// Fails in `on-connect`, in which the client is not connected yet.
    fn reachable(&self) -> Result<(), Failure> {
        if self.call()?.call.phase == Phase::Connecting {
            return Err(Failure::new(
                409,
                "the client is not connected yet; greet it in on-connected",
            ));
        }
        Ok(())
    }

    /// Checks the rooms that a guest names.
    fn check_rooms(&self, rooms: &[String]) -> Result<(), Failure> {
        self.serving()?;
        if rooms.len() > MAX_ROOMS_AT_ONCE || rooms.iter().any(|room| room.len() > MAX_NAME) {
            return Err(Failure::new(
                413,
                format!(
                    "at most {MAX_ROOMS_AT_ONCE} rooms of {MAX_NAME} bytes each can be named at once"
                ),
            ));
        }
        Ok(())
    }

    /// Checks and counts an event, and converts its payload.
    fn count_event(
        &mut self,
        event: &str,
        args: Payload,
    ) -> Result<crate::payload::Payload, Failure> {
        emitter::check_event_length(event)?;
        self.count_emit(args)
    }

    /// Counts an emit against the limits of the call, and converts its payload.
    fn count_emit(&mut self, payload: Payload) -> Result<crate::payload::Payload, Failure> {
        self.serving()?;
        let payload = convert::payload(payload);
        let (size, max) = (payload.size(), self.instance.services.sizes.payload);
        if size > max {
            let message =
                format!("the payload has {size} bytes; at most {max} are sent (server.body-limit)");
            return Err(Failure::new(413, message));
        }
        let state = self.call_mut()?;
        let max_events = state.call.settings.emits_per_call;
        let max_bytes = state.call.settings.emit_bytes_per_call;
        let emitted: &mut Emitted = state.notes();
        if emitted.events >= max_events {
            let message =
                format!("rate-limited: a call may emit {max_events} times (limits.emits-per-call)");
            return Err(Failure::new(429, message));
        }
        if emitted.bytes + size > max_bytes {
            let message = format!(
                "rate-limited: a call may emit {max_bytes} bytes (limits.emit-bytes-per-call)"
            );
            return Err(Failure::new(429, message));
        }
        emitted.events += 1;
        emitted.bytes += size;
        Ok(payload)
    }

    /// Returns the time to wait for acks: the requested time, but not longer than until the call's end.
    fn ack_timeout(&self, timeout_ms: u32) -> Result<Duration, Failure> {
        let remaining = self.call()?.call.remaining();
        Ok(Duration::from_millis(timeout_ms.into()).min(remaining))
    }

    /// Emits an event to an audience.
    async fn emit_to_audience(
        &mut self,
        audience: emitter::Audience,
        event: String,
        args: Payload,
    ) -> Result<(), Failure> {
        audience.check()?;
        let payload = self.count_event(&event, args)?;
        self.emitter()?.emit(audience, &event, &payload).await
    }

    /// Emits an event to an audience and waits for the acks.
    async fn ask_audience(
        &mut self,
        audience: emitter::Audience,
        event: String,
        args: Payload,
        timeout_ms: u32,
    ) -> Result<emitter::Acks, Failure> {
        audience.check()?;
        let payload = self.count_event(&event, args)?;
        let timeout = self.ack_timeout(timeout_ms)?;
        self.emitter()?
            .emit_with_ack(audience, &event, &payload, timeout)
            .await
    }

    /// Emits an event to one client and waits for its ack.
    async fn ask_socket(
        &mut self,
        connection: &Connection,
        event: String,
        args: Payload,
        timeout_ms: u32,
    ) -> Result<crate::payload::Payload, Failure> {
        self.reachable()?;
        let payload = self.count_event(&event, args)?;
        let timeout = self.ack_timeout(timeout_ms)?;
        connection.emit_with_ack(&event, &payload, timeout).await
    }
}

impl Host for State {
    async fn emit(&mut self, event: String, args: Payload) -> Answer<()> {
        answer(
            self.emit_to_audience(emitter::Audience::everyone("/"), event, args)
                .await,
        )
    }

    async fn emit_to(&mut self, audience: Audience, event: String, args: Payload) -> Answer<()> {
        answer(self.emit_to_audience(audience.into(), event, args).await)
    }

    async fn emit_to_with_ack(
        &mut self,
        audience: Audience,
        event: String,
        args: Payload,
        timeout_ms: u32,
    ) -> Answer<Vec<(String, Result<Payload, types::Failure>)>> {
        let acks = self
            .ask_audience(audience.into(), event, args, timeout_ms)
            .await;
        answer(acks.map(|acks| {
            acks.into_iter()
                .map(|(id, ack)| (id, convert::ack_to_guest(ack)))
                .collect()
        }))
    }

    async fn join(&mut self, audience: Audience, rooms: Vec<String>) -> Answer<()> {
        let audience = emitter::Audience::from(audience);
        let checked = audience.check().and_then(|()| self.check_rooms(&rooms));
        answer(match checked.and_then(|()| self.emitter()) {
            Ok(emitter) => emitter.join(audience, rooms).await,
            Err(failure) => Err(failure),
        })
    }

    async fn leave(&mut self, audience: Audience, rooms: Vec<String>) -> Answer<()> {
        let audience = emitter::Audience::from(audience);
        let checked = audience.check().and_then(|()| self.check_rooms(&rooms));
        answer(match checked.and_then(|()| self.emitter()) {
            Ok(emitter) => emitter.leave(audience, rooms).await,
            Err(failure) => Err(failure),
        })
    }

    async fn disconnect(&mut self, audience: Audience, close: bool) -> Answer<()> {
        let audience = emitter::Audience::from(audience);
        let checked = audience.check().and_then(|()| self.serving());
        answer(match checked.and_then(|()| self.emitter()) {
            Ok(emitter) => emitter.disconnect(audience, close).await,
            Err(failure) => Err(failure),
        })
    }

    async fn find(&mut self, namespace: String, id: String) -> wasmtime::Result<Option<Handle>> {
        let found = match self.serving().and_then(|()| self.emitter()) {
            Ok(emitter) => emitter.find(&namespace, &id).await,
            Err(_) => None,
        };
        let handles = self.handles_mut()?;
        found
            .map(|connection| handles.push(SocketHandle(connection)))
            .transpose()
    }

    async fn list_ids(&mut self, audience: Audience) -> Answer<Vec<String>> {
        let audience = emitter::Audience::from(audience);
        let checked = audience.check().and_then(|()| self.serving());
        answer(match checked.and_then(|()| self.emitter()) {
            Ok(emitter) => emitter.ids(audience).await,
            Err(failure) => Err(failure),
        })
    }
}

impl HostSocket for State {
    fn id(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.connection(&this)?.id.clone())
    }

    fn namespace(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.connection(&this)?.namespace.to_string())
    }

    fn remote(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.connection(&this)?.handshake.remote.to_string())
    }

    fn query(&mut self, this: Handle) -> wasmtime::Result<String> {
        Ok(self.connection(&this)?.handshake.query.clone())
    }

    fn header(&mut self, this: Handle, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(convert::header_values(
            &self.connection(&this)?.handshake.headers,
            &name,
        ))
    }

    fn headers(&mut self, this: Handle) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(convert::header_list(
            &self.connection(&this)?.handshake.headers,
        ))
    }

    fn auth(&mut self, this: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.connection(&this)?.handshake.auth.clone())
    }

    fn get(&mut self, this: Handle, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.connection(&this)?.get(&key))
    }

    fn set(&mut self, this: Handle, key: String, value: String) -> Answer<()> {
        answer(held!(self.held_connection(&this)).set(key, value))
    }

    fn rooms(&mut self, this: Handle) -> wasmtime::Result<Vec<String>> {
        Ok(self.connection(&this)?.rooms())
    }

    fn join(&mut self, this: Handle, rooms: Vec<String>) -> Answer<()> {
        let connection = held!(self.held_connection(&this));
        answer(
            self.check_rooms(&rooms)
                .and_then(|()| connection.join(rooms)),
        )
    }

    fn leave(&mut self, this: Handle, rooms: Vec<String>) -> Answer<()> {
        let connection = held!(self.held_connection(&this));
        answer(
            self.check_rooms(&rooms)
                .and_then(|()| connection.leave(rooms)),
        )
    }

    fn emit(&mut self, this: Handle, event: String, args: Payload) -> Answer<()> {
        let connection = held!(self.held_connection(&this));
        let payload = self
            .reachable()
            .and_then(|()| self.count_event(&event, args));
        answer(payload.and_then(|payload| connection.emit(&event, &payload)))
    }

    async fn emit_with_ack(
        &mut self,
        this: Handle,
        event: String,
        args: Payload,
        timeout_ms: u32,
    ) -> Answer<Payload> {
        let connection = held!(self.held_connection(&this));
        let ack = self.ask_socket(&connection, event, args, timeout_ms).await;
        answer(ack.map(convert::payload_to_guest))
    }

    fn disconnect(&mut self, this: Handle, close: bool) -> wasmtime::Result<()> {
        self.connection(&this)?.disconnect(close);
        Ok(())
    }

    fn drop(&mut self, this: Handle) -> wasmtime::Result<()> {
        let _taken = self.handles_mut()?.delete(&this)?;
        Ok(())
    }
}

impl From<Audience> for emitter::Audience {
    fn from(audience: Audience) -> Self {
        let Audience {
            namespace,
            rooms,
            excluding,
            this_node_only,
            droppable,
        } = audience;
        Self {
            namespace,
            rooms,
            excluding,
            this_node_only,
            droppable,
        }
    }
}
