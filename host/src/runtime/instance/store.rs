//! An instance: a store with the guest that is instantiated in it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Instance as Component, InstancePre, TypedFunc};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use super::counts::{Counted, InstanceEnd};
use super::cpu;
use super::handles::MAX_HANDLES;
use super::limits::MemoryLimiter;
use super::output::Output;
use super::state::{Call, State};
use crate::runtime::script::REWIND;
use crate::runtime::services::Services;
use crate::runtime::settings::Life;
use crate::runtime::source_map::SourceMap;

/// Bytes that a guest may pass to the host in one call of an import or export, beyond the largest permitted message.
///
/// With this margin the host receives a message that is a little too large and can refuse it with a sentence.
const HOSTCALL_SLACK: usize = 4 << 20;
/// Bytes that a guest may always pass in one call if its memory holds so many, so that each import can refuse what is
/// too large for it with an error for the guest. More ends the call.
///
/// Imports refuse before they wait for anything, so the host holds as much for the calls that run at one moment only.
const HOSTCALL_BYTES: usize = 32 << 20;

/// Everything that is needed to make an instance of a guest.
pub(in crate::runtime) struct Template<'a> {
    /// The name of the handler, for the log.
    pub(in crate::runtime) name: &'a Arc<str>,
    pub(in crate::runtime) pre: &'a InstancePre<State>,
    pub(in crate::runtime) services: &'a Arc<Services>,
    /// The places of its bundle, if it is a script with packages.
    pub(in crate::runtime) source_map: Option<&'a Arc<SourceMap>>,
}

/// A store, with the guest that is instantiated in it.
pub(in crate::runtime) struct Instance {
    store: Store<State>,
    /// `None` until the first call has instantiated the guest.
    linked: Option<Linked>,
    /// `None` for an instance of one call.
    counted: Option<Counted>,
}

/// The function that gives the memory of a script its first content again.
#[derive(Clone)]
struct Rewind(TypedFunc<(), (bool,)>);

/// A guest that is instantiated, with its exports as far as they were called.
pub(in crate::runtime) struct Linked {
    instance: Component,
    /// The exported interfaces that calls have loaded. `None` in an instance of one call, which would keep them in
    /// vain.
    loaded: Option<Vec<Box<dyn Any + Send>>>,
}

impl Linked {
    /// Returns an exported interface. `load` looks its functions up, at the first call of an instance that is kept, and
    /// in each instance of one call.
    pub(in crate::runtime) fn export<T: Any + Clone + Send>(
        &mut self,
        store: &mut Store<State>,
        load: impl FnOnce(&mut Store<State>, &Component) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let Some(loaded) = &mut self.loaded else {
            return load(store, &self.instance);
        };
        let known = loaded.iter().find_map(|one| one.downcast_ref::<T>());
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let export = load(store, &self.instance)?;
        loaded.push(Box::new(export.clone()));
        Ok(export)
    }

    /// Gives the memory the content that it had before the first call. Returns false if the memory has grown, so that it
    /// cannot be what it was.
    async fn rewind(&mut self, store: &mut Store<State>) -> wasmtime::Result<bool> {
        let load = |store: &mut Store<State>, instance: &Component| {
            instance.get_typed_func(store, REWIND).map(Rewind)
        };
        let Rewind(rewind) = self.export(store, load)?;
        let (is_rewound,) = rewind.call_async(store, ()).await?;
        Ok(is_rewound)
    }

    /// Returns the instance of wasmtime.
    pub(in crate::runtime) fn component(&self) -> &Component {
        &self.instance
    }
}

impl Instance {
    /// Makes an instance for a first call. `counted` is for an instance that may be kept.
    pub(super) fn new(
        template: &Template<'_>,
        life: Life,
        counted: Option<Counted>,
        call: Call,
    ) -> Self {
        Self {
            store: store(template, life, call),
            linked: None,
            counted,
        }
    }

    /// Begins another call in the same store.
    pub(super) fn begin(&mut self, call: Call) {
        self.store.data_mut().begin(call);
        start_clock(&mut self.store);
    }

    /// Makes the instance of a script what it was before its first call, while its call has not ended.
    ///
    /// # Errors
    /// The reason why the instance has to end.
    pub(super) async fn rewind(&mut self) -> Result<(), InstanceEnd> {
        let linked = self.linked.as_mut().ok_or(InstanceEnd::Fault)?;
        match linked.rewind(&mut self.store).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(InstanceEnd::Grown),
            Err(_) => Err(InstanceEnd::Fault),
        }
    }

    /// Ends the call.
    pub(super) fn end_call(&mut self, has_succeeded: bool) {
        let state = self.store.data_mut();
        state.end(has_succeeded);
        if let Some(counted) = &mut self.counted
            && has_succeeded
        {
            counted.note_call(state.instance.memory.used());
        }
    }

    /// Returns the state of the store.
    pub(super) fn state(&self) -> &State {
        self.store.data()
    }

    /// Returns the store and the guest in it, which is instantiated if it has not been yet.
    pub(super) async fn linked(
        &mut self,
        template: &Template<'_>,
    ) -> wasmtime::Result<(&mut Store<State>, &mut Linked)> {
        let linked = match self.linked.take() {
            Some(linked) => linked,
            None => self.instantiate(template).await?,
        };
        Ok((&mut self.store, self.linked.insert(linked)))
    }

    /// Instantiates the guest. If the pool has no place, an instance that is kept between calls gives up its own.
    async fn instantiate(&mut self, template: &Template<'_>) -> wasmtime::Result<Linked> {
        let mut is_last = false;
        loop {
            let error = match template.pre.instantiate_async(&mut self.store).await {
                Ok(instance) => {
                    let loaded = self.counted.is_some().then(Vec::new);
                    return Ok(Linked { instance, loaded });
                }
                Err(error) => error,
            };
            if is_last || !error.is::<PoolConcurrencyLimitError>() {
                return Err(error);
            }
            is_last = !template.services.budget.reclaim_place();
            // The store may have a part of the guest already, so another takes its place.
            let state = self.store.data();
            let (call, life) = (state.call()?.call.clone(), state.instance.life);
            self.store = store(template, life, call);
        }
    }

    /// Returns the bytes of linear memory as of the last call.
    pub(super) fn memory(&self) -> usize {
        self.counted.as_ref().map_or(0, Counted::memory)
    }

    /// Returns the reason to end the instance, if it may not have another call: `max_calls` is the number of calls that
    /// instances of its handler may have, from which up to `spread` is subtracted for each instance.
    pub(super) fn reason_to_end(
        &mut self,
        max_calls: Option<u32>,
        spread: u32,
    ) -> Option<InstanceEnd> {
        let state = self.store.data_mut();
        let is_like_new = state.instance.life != Life::Call || state.is_empty();
        if !is_like_new || state.is_worn() {
            return Some(InstanceEnd::Handles);
        }
        let counted = self.counted.as_ref()?;
        let fewer = scattered(counted.number(), spread);
        let has_enough =
            max_calls.is_some_and(|max| counted.calls() >= (max - fewer.min(max)).max(1));
        has_enough.then_some(InstanceEnd::MaxCalls)
    }

    /// Ends the instance for a reason.
    pub(super) fn end(mut self, end: InstanceEnd) {
        if let Some(counted) = &mut self.counted {
            counted.ends_for(end);
        }
    }
}

/// Returns a number from 0 to `most` that depends on `seed` as if at random (the finaliser of splitmix64).
fn scattered(seed: u64, most: u32) -> u32 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    (bits % (u64::from(most) + 1)) as u32
}

/// Makes a store for a first call.
fn store(template: &Template<'_>, life: Life, call: Call) -> Store<State> {
    let services = template.services;
    let output = Output::new(
        Arc::clone(template.name),
        template.source_map.cloned(),
        Arc::clone(&call.id),
        call.last_error.clone(),
    );
    let memory = MemoryLimiter::new(call.settings.memory, Arc::clone(&services.budget));
    let message = services.sizes.largest().saturating_add(HOSTCALL_SLACK);
    let fuel = message.max(call.settings.memory.min(HOSTCALL_BYTES));
    let state = State::new(Arc::clone(services), memory, output, life, call);
    let mut store = Store::new(template.pre.engine(), state);
    store.limiter(|state| &mut state.instance.memory);
    store.set_hostcall_fuel(fuel);
    store.set_max_component_handles(MAX_HANDLES);
    store.epoch_deadline_callback(|store| Ok(after_tick(store.data())));
    start_clock(&mut store);
    store
}

/// Sets the first tick after which the guest yields.
fn start_clock(store: &mut Store<State>) {
    // The next tick may come at once. Only at the second tick is it certain that the guest has run for a full one.
    store.set_epoch_deadline(2);
}

/// Ends the call if it has used all the processor time it may. Otherwise the guest yields to other tasks.
fn after_tick(state: &State) -> UpdateDeadline {
    let limit = state
        .call()
        .map_or(Duration::ZERO, |state| state.call.settings.cpu);
    if cpu::used() >= limit {
        return UpdateDeadline::Interrupt;
    }
    // wasmtime's own yield (wasmtime 48, issue #10667) wakes its task at once, which puts the task at the front of
    // tokio's queue, so that other tasks starve. tokio's yield puts it at the end.
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d03_ends_are_spread_over_the_range() {
        let numbers: Vec<_> = (0..1000).map(|seed| scattered(seed, 9)).collect();
        for wanted in 0..=9 {
            let count = numbers.iter().filter(|number| **number == wanted).count();
            assert!((50..200).contains(&count), "{count} times {wanted}");
        }
        assert!((0..100).all(|seed| scattered(seed, 0) == 0));
    }
}
