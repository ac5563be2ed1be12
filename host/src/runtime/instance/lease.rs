//! Leases: the right to call an instance, and what becomes of it afterwards.
//!
//! A strategy hands out a lease for whoever is called for; the lease runs calls, and drops its instance when a call
//! ended in a trap, a timeout or by being dropped. A lease may outlive the function that took it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use wasmtime::component::{Instance as Linked, InstancePre};
use wasmtime::{Store, UpdateDeadline};

use super::limits::MemoryLimiter;
use super::output::Output;
use super::state::{Call, MAX_HANDLES, State};
use crate::runtime::engine::TICK;
use crate::runtime::error::CallError;
use crate::runtime::services::Services;
use crate::sockets::Connection;

/// Bytes that the host takes from a guest in one call across the boundary, beside the largest thing that may cross it:
/// enough to say that something was too large.
const HOSTCALL_SLACK: usize = 4 << 20;

/// The owner of an instance, for strategies that keep one for each.
#[derive(Clone, Copy)]
pub(in crate::runtime) enum Owner<'a> {
    /// No owner: any instance will do.
    Anyone,
    /// A connection to a namespace.
    #[allow(dead_code, reason = "no strategy keeps instances for connections yet")]
    Socket(&'a Arc<Connection>),
}

/// Decides how long instances of one handler live.
pub(in crate::runtime) trait Strategy: Send + Sync {
    /// Hands out an instance for a call, or the right to make one.
    fn check_out(&self, owner: Owner<'_>) -> Lease;
}

/// Takes an instance back whose call came to a good end.
pub(in crate::runtime) trait TakeBack: Send + Sync {
    /// Keeps the instance, or drops it.
    fn take_back(&self, instance: Instance);
}

/// The right to call one instance. Without one, the first call makes it.
pub(in crate::runtime) struct Lease {
    instance: Option<Instance>,
    home: Option<Arc<dyn TakeBack>>,
}

/// A store, and the guest in it once it is instantiated.
pub(in crate::runtime) struct Instance {
    store: Store<State>,
    linked: Option<Linked>,
}

/// The parts that instances of a guest are made of.
pub(in crate::runtime) struct Template<'a> {
    /// The name of the handler, for the log.
    pub(in crate::runtime) name: &'a Arc<str>,
    pub(in crate::runtime) pre: &'a InstancePre<State>,
    pub(in crate::runtime) services: &'a Arc<Services>,
}

impl Lease {
    /// Makes a lease whose instance ends with it.
    pub(in crate::runtime) fn fresh() -> Self {
        Self {
            instance: None,
            home: None,
        }
    }

    /// Makes a lease of `instance`, or of one that the first call makes; it goes back to `home` when the lease is
    /// dropped.
    #[allow(dead_code, reason = "no strategy keeps instances yet, but for tests")]
    pub(in crate::runtime) fn kept(instance: Option<Instance>, home: Arc<dyn TakeBack>) -> Self {
        Self {
            instance,
            home: Some(home),
        }
    }

    /// Runs one call under one deadline. A panic of the host is the call's failure, not the server's.
    ///
    /// The instance is owned by this future while the call runs, so it is gone when the future is dropped; the lease
    /// gets it back only from a call that came to a good end.
    pub(in crate::runtime) async fn call<T>(
        &mut self,
        template: Template<'_>,
        call: Call,
        body: impl AsyncFnOnce(&mut Store<State>, &Linked) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let _running = template.services.ticker.run();
        let (until, deadline) = (call.until, call.settings.deadline);
        let mut instance = match self.instance.take() {
            Some(mut instance) => {
                instance.begin(call);
                instance
            }
            None => Instance::new(&template, call),
        };
        let work = async {
            let linked = match instance.linked {
                Some(linked) => linked,
                None => template.pre.instantiate_async(&mut instance.store).await?,
            };
            instance.linked = Some(linked);
            body(&mut instance.store, &linked).await
        };
        let timed =
            tokio::time::timeout_at(until.into(), AssertUnwindSafe(work).catch_unwind()).await;
        let result = match timed {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(CallError::from_wasmtime(&error, instance.store.data())),
            Ok(Err(panic)) => Err(CallError::Host(panic_text(panic.as_ref()))),
            Err(_) => Err(CallError::Deadline(deadline)),
        };
        instance.store.data_mut().end();
        if result.is_ok() && self.home.is_some() {
            self.instance = Some(instance);
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(home), Some(instance)) = (&self.home, self.instance.take()) {
            home.take_back(instance);
        }
    }
}

impl Instance {
    fn new(template: &Template<'_>, call: Call) -> Self {
        let services = template.services;
        let output = Output::new(Arc::clone(template.name), Arc::clone(&call.id));
        let memory = MemoryLimiter::new(call.settings.memory, Arc::clone(&services.budget));
        let sizes = services.sizes;
        let fuel = sizes.answer.max(sizes.payload);
        let state = State::new(Arc::clone(services), memory, output, call);
        let mut store = Store::new(template.pre.engine(), state);
        store.limiter(|state| &mut state.instance.memory);
        store.set_hostcall_fuel(fuel.saturating_add(HOSTCALL_SLACK));
        store.set_max_component_handles(MAX_HANDLES);
        store.epoch_deadline_callback(|mut store| Ok(after_tick(store.data_mut())));
        let mut instance = Self {
            store,
            linked: None,
        };
        instance.start_clock();
        instance
    }

    fn begin(&mut self, call: Call) {
        self.store.data_mut().begin(call);
        self.start_clock();
    }

    fn start_clock(&mut self) {
        // The next tick may come at once: a call has run for one when it sees its second.
        self.store.set_epoch_deadline(2);
    }
}

/// Counts a tick that the guest has run, and lets others run or ends the call.
fn after_tick(state: &mut State) -> UpdateDeadline {
    let Ok(state) = state.call_mut() else {
        return UpdateDeadline::Interrupt;
    };
    state.cpu += TICK;
    if state.cpu >= state.call.settings.cpu {
        return UpdateDeadline::Interrupt;
    }
    // wasmtime's own yield goes back to the front of tokio's queue and starves others (wasmtime #10667).
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}
