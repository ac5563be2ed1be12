//! The interfaces that a guest exports.
//!
//! They are looked up one by one when the guest is loaded, because a guest exports only the interfaces of the kinds
//! that it declares.

use std::any::{Any, TypeId};

use wasmtime::component::{Component, InstancePre};

use super::contract;
use super::error::LoadError;
use super::instance::state::State;

/// The indices of the export interfaces, by their generated type (`http::GuestIndices`).
#[derive(Default)]
pub(super) struct Exports(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl Exports {
    /// Looks up an interface of the contract with `look_up`. Does nothing if the component does not export it.
    ///
    /// # Errors
    /// The exported interface differs from the contract.
    pub(super) fn add<T: Send + Sync + 'static>(
        &mut self,
        interface: &str,
        component: &Component,
        pre: &InstancePre<State>,
        look_up: impl FnOnce(&InstancePre<State>) -> wasmtime::Result<T>,
    ) -> Result<(), LoadError> {
        let name = contract::interface(interface);
        if component.get_export_index(None, &name).is_none() {
            return Ok(());
        }
        let indices = look_up(pre).map_err(|error| {
            let track = contract::TRACK;
            LoadError::Invalid(format!(
                "an export differs from the contract {track}: {error:#}"
            ))
        })?;
        self.insert(indices);
        Ok(())
    }

    /// Adds what was looked up elsewhere.
    pub(super) fn insert<T: Send + Sync + 'static>(&mut self, indices: T) {
        self.0.push((TypeId::of::<T>(), Box::new(indices)));
    }

    /// Returns the indices of an interface that the guest exports.
    pub(super) fn find<T: 'static>(&self) -> Option<&T> {
        let wanted = TypeId::of::<T>();
        let (_, indices) = self.0.iter().find(|(known, _)| *known == wanted)?;
        indices.downcast_ref()
    }

    /// Returns the indices of an interface that the guest has to export, because it made a declaration that needs it.
    pub(super) fn get<T: 'static>(&self) -> wasmtime::Result<&T> {
        self.find().ok_or_else(|| {
            wasmtime::Error::msg("the handler does not export the interface of what it declares")
        })
    }
}
