//! The export interfaces of a handler, looked up one by one: absent means not offered.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::bindings::exports::hitchy::platform::{connections, events, http, policies, setup};
use super::declarations::Declarations;
use super::error::LoadError;
use super::handler::Code;
use super::state::State;

/// The export interfaces, looked up one by one: absent means not offered.
#[derive(Clone)]
pub(super) struct Exports {
    pub(super) setup: Arc<setup::GuestIndices>,
    pub(super) http: Option<Arc<http::GuestIndices>>,
    pub(super) policies: Option<Arc<policies::GuestIndices>>,
    pub(super) events: Option<Arc<events::GuestIndices>>,
    pub(super) connections: Option<Arc<connections::GuestIndices>>,
}

impl Exports {
    /// Looks up what the code exports.
    pub(super) fn of(code: &Code) -> Result<Self, LoadError> {
        let pre = &code.pre;
        let has = |name: &str| {
            let name = format!("hitchy:platform/{name}@0.1.0");
            code.component.get_export_index(None, &name).is_some()
        };
        let mismatch = |error: wasmtime::Error| {
            LoadError::Invalid(format!(
                "an export differs from the contract 0.1: {error:#}"
            ))
        };
        let setup = setup::GuestIndices::new(pre)
            .map(Arc::new)
            .map_err(mismatch)?;
        let http = has("http")
            .then(|| http::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let policies = has("policies")
            .then(|| policies::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let events = has("events")
            .then(|| events::GuestIndices::new(pre).map(Arc::new))
            .transpose()
            .map_err(mismatch)?;
        let connections = has("connections")
            .then(|| connections::GuestIndices::new(pre).map(Arc::new))
            .transpose();
        Ok(Self {
            setup,
            http,
            policies,
            events,
            connections: connections.map_err(mismatch)?,
        })
    }

    /// Fails when the functions of an interface are not those of the contract.
    pub(super) fn fit(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<()> {
        if let Some(http) = &self.http {
            http.load(&mut *store, instance)?;
        }
        if let Some(policies) = &self.policies {
            policies.load(&mut *store, instance)?;
        }
        if let Some(events) = &self.events {
            events.load(&mut *store, instance)?;
        }
        if let Some(connections) = &self.connections {
            connections.load(&mut *store, instance)?;
        }
        Ok(())
    }

    /// What is declared must be exported.
    pub(super) fn check(&self, declarations: &Declarations) -> Result<(), LoadError> {
        let missing = [
            (
                "a route",
                "http",
                declarations.routes.is_empty() || self.http.is_some(),
            ),
            (
                "a policy",
                "policies",
                declarations.policies.is_empty() || self.policies.is_some(),
            ),
            (
                "a listener",
                "events",
                declarations.listeners.is_empty() || self.events.is_some(),
            ),
            (
                "a connection hook",
                "connections",
                declarations.connections.is_empty() || self.connections.is_some(),
            ),
        ];
        match missing.into_iter().find(|(_, _, fine)| !fine) {
            Some((what, interface, _)) => Err(LoadError::Declaration(format!(
                "it declares {what} but does not export hitchy:platform/{interface}; export it, or remove the declaration"
            ))),
            None => Ok(()),
        }
    }
}

/// An interface that must be there, since something was declared for it.
pub(super) fn offered<T>(export: &Option<Arc<T>>) -> wasmtime::Result<&T> {
    export.as_deref().ok_or_else(|| {
        wasmtime::Error::msg("the handler does not export the interface of what it declares")
    })
}
