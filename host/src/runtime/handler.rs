//! A loaded handler, and what it can be called for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use wasmtime::component::{Component, InstancePre};

use super::Candidate;
use super::call::{CallContext, Outcome};
use super::compile::ContentHash;
use super::convert;
use super::declarations::Declarations;
use super::engine::Ticker;
use super::error::{CallError, LoadError};
use super::exports::{Exports, offered};
use super::imports::registration::Description;
use super::services::{MessageSizes, Services};
use super::settings::HandlerSettings;
use super::state::{Phase, RegistrarHandle, RequestHandle, SocketHandle, State};
use crate::message::{Event, Exchange, Response};
use crate::metrics::Calls;
use crate::payload::Payload;
use crate::sockets::Connection;

/// How long `describe` may take.
const DESCRIBE: Duration = Duration::from_secs(1);

/// What all handlers of a runtime share.
pub(super) struct Shared {
    pub(super) services: Arc<Services>,
    pub(super) ticker: Ticker,
}

/// Code that can be called: compiled and linked, but not yet a handler of a certain name.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) hash: ContentHash,
    pub(super) component: Component,
    pub(super) pre: InstancePre<State>,
    pub(super) size: usize,
    pub(super) compile_time: Duration,
}

/// A file of the folder, loaded.
pub struct Handler {
    /// Its path below the folder.
    pub name: Arc<str>,
    /// What it declares.
    pub declarations: Declarations,
    /// How many versions of this file have been served, this one included.
    pub generation: u64,
    /// What the operator set for it.
    pub settings: Arc<HandlerSettings>,
    /// Permits for calls of it; shared by all its generations.
    pub permits: Arc<Semaphore>,
    /// What its calls came to; shared by all its generations.
    pub calls: Arc<Calls>,
    /// When it was loaded.
    pub loaded: SystemTime,
    pub(super) code: Code,
    exports: Exports,
    pub(super) shared: Arc<Shared>,
}

impl Handler {
    /// Makes a handler of code: asks it to describe itself and checks what it says.
    pub(super) async fn load(
        candidate: Candidate,
        code: Code,
        shared: Arc<Shared>,
    ) -> Result<Self, LoadError> {
        let exports = Exports::of(&code)?;
        let Candidate {
            name,
            generation,
            settings,
            permits,
            calls,
            ..
        } = candidate;
        let mut handler = Self {
            name,
            declarations: Declarations::default(),
            generation,
            settings: Arc::new(settings),
            permits,
            calls,
            loaded: SystemTime::now(),
            code,
            exports,
            shared,
        };
        let description = handler.describe().await.map_err(LoadError::Describe)?;
        handler.declarations = Declarations::check(description)?;
        handler.exports.check(&handler.declarations)?;
        Ok(handler)
    }

    /// How many calls of it, that came from a door, run now.
    pub fn running(&self) -> usize {
        let free = self.permits.available_permits();
        self.settings.concurrency.saturating_sub(free)
    }

    /// The content of its file.
    pub fn hash(&self) -> ContentHash {
        self.code.hash
    }

    /// Bytes of its file.
    pub fn size(&self) -> usize {
        self.code.size
    }

    /// How long compiling it took.
    pub fn compile_time(&self) -> Duration {
        self.code.compile_time
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    async fn describe(&self) -> Result<Description, CallError> {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let settings = HandlerSettings {
            deadline: DESCRIBE,
            cpu: DESCRIBE,
            ..HandlerSettings::clone(&self.settings)
        };
        let call = self.call(
            CallContext::new("describe".into(), nobody),
            Phase::Describe,
            Arc::new(settings),
        );
        self.run(call, async |store, instance| {
            self.exports.fit(&mut *store, instance).map_err(|error| {
                let cause = error.root_cause();
                wasmtime::Error::msg(format!("an export differs from the contract 0.1: {cause}"))
            })?;
            let guest = self.exports.setup.load(&mut *store, instance)?;
            let registrar = store.data_mut().table.push(RegistrarHandle)?;
            guest.call_describe(&mut *store, registrar).await?;
            Ok(std::mem::take(&mut store.data_mut().description))
        })
        .await
    }

    /// Answers a request.
    pub async fn on_request(
        &self,
        context: CallContext,
        route: u32,
        exchange: Arc<Exchange>,
        params: Arc<[(String, String)]>,
    ) -> Outcome<Response> {
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.http)?.load(&mut *store, instance)?;
                let request = store
                    .data_mut()
                    .table
                    .push(RequestHandle { exchange, params })?;
                guest.call_on_request(&mut *store, route, request).await
            })
            .await?;
        self.outcome(answer, convert::response)
    }

    /// Lets a request pass, answers it, or fails it.
    pub async fn on_before(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
    ) -> Outcome<Option<Response>> {
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.policies)?.load(&mut *store, instance)?;
                let request = store.data_mut().table.push(RequestHandle {
                    exchange,
                    params: Arc::new([]),
                })?;
                guest.call_on_before(&mut *store, policy, request).await
            })
            .await?;
        self.outcome(answer, |response, sizes| {
            response
                .map(|response| convert::response(response, sizes))
                .transpose()
        })
    }

    /// Is told of an answer.
    pub async fn on_after(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
        status: u16,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.policies)?.load(&mut *store, instance)?;
                let request = store.data_mut().table.push(RequestHandle {
                    exchange,
                    params: Arc::new([]),
                })?;
                guest
                    .call_on_after(&mut *store, policy, request, status)
                    .await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Handles an event.
    pub async fn on_event(
        &self,
        context: CallContext,
        listener: u32,
        connection: Arc<Connection>,
        event: &Event,
    ) -> Outcome<Option<Payload>> {
        let args = convert::payload_to_guest(event.payload.clone());
        let answer = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.events)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest
                    .call_on_event(
                        &mut *store,
                        listener,
                        socket,
                        &event.name,
                        &args,
                        event.ack_wanted,
                    )
                    .await
            })
            .await?;
        self.outcome(answer, |ack, sizes| {
            ack.map(|ack| convert::ack(ack, sizes)).transpose()
        })
    }

    /// Lets a client connect, or refuses it.
    pub async fn on_connect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let call = self.call(context, Phase::Connecting, Arc::clone(&self.settings));
        let answer = self
            .run(call, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest.call_on_connect(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(answer, |(), _| Ok(()))
    }

    /// Is told of a client that has connected.
    pub async fn on_connected(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest.call_on_connected(&mut *store, hook, socket).await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Is told of a client that has gone.
    pub async fn on_disconnect(
        &self,
        context: CallContext,
        hook: u32,
        connection: Arc<Connection>,
        reason: &'static str,
    ) -> Outcome<()> {
        let told = self
            .serve(context, async |store, instance| {
                let guest = offered(&self.exports.connections)?.load(&mut *store, instance)?;
                let socket = store.data_mut().table.push(SocketHandle(connection))?;
                guest
                    .call_on_disconnect(&mut *store, hook, socket, reason)
                    .await
            })
            .await?;
        self.outcome(told, |(), _| Ok(()))
    }

    /// Passes the guest's answer through customs.
    fn outcome<G, T>(
        &self,
        answer: Result<G, super::bindings::hitchy::platform::types::Failure>,
        check: impl FnOnce(G, MessageSizes) -> Result<T, CallError>,
    ) -> Outcome<T> {
        match answer {
            Ok(value) => check(value, self.shared.services.sizes).map(Ok),
            Err(failure) => convert::failure(failure).map(Err),
        }
    }
}
