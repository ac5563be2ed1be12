//! Leases: the right to call an instance.
//!
//! A strategy hands out a lease for an owner, and the lease runs calls. It drops its instance if a call ended in a trap
//! or a timeout, or was dropped. A lease may outlive the function that took it.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use wasmtime::component::{Instance as Linked, InstancePre};
use wasmtime::{Store, UpdateDeadline};

use super::cpu::{self, Meter};
use super::limits::MemoryLimiter;
use super::output::Output;
use super::state::{Call, MAX_HANDLES, State, StreamEnd};
use crate::runtime::error::CallError;
use crate::runtime::services::Services;
use crate::runtime::settings::Life;
use crate::sockets::Connection;

/// Bytes that a guest may pass to the host in one call of an import or export, beyond the largest permitted message.
///
/// With this margin the host receives a message that is a little too large and can refuse it with a sentence.
const HOSTCALL_SLACK: usize = 4 << 20;
/// Bytes that a guest may always pass in one call if its memory holds so many, so that each import can refuse what is
/// too large for it with an error for the guest. More ends the call.
///
/// Imports refuse before they wait for anything, so the host holds as much for the calls that run at one moment only.
const HOSTCALL_BYTES: usize = 32 << 20;

/// The owner of an instance. Strategies that keep instances choose by it.
#[derive(Clone, Copy)]
pub(in crate::runtime) enum Owner<'a> {
    /// The instance may serve every caller.
    Anyone,
    /// The instance serves one connection to a namespace.
    #[allow(dead_code, reason = "no strategy keeps instances for connections yet")]
    Socket(&'a Arc<Connection>),
}

/// A rule for how long the instances of one handler live.
pub(in crate::runtime) trait Strategy: Send + Sync {
    /// Hands out a lease of an instance for `owner`. The first call makes the instance if the lease has none.
    fn check_out(&self, owner: Owner<'_>) -> Lease;
}

/// The receiver of instances whose lease has ended.
pub(in crate::runtime) trait TakeBack: Send + Sync {
    /// Keeps an instance for later leases, or drops it. Its last call succeeded.
    fn take_back(&self, instance: Instance);
}

/// The right to call one instance.
pub(in crate::runtime) struct Lease {
    /// `None` before the first call, and after a call that failed. The next call makes a new instance.
    instance: Option<Instance>,
    /// `None` if the instance ends with the lease or earlier.
    home: Option<Arc<dyn TakeBack>>,
}

/// A store, with the guest that is instantiated in it.
pub(in crate::runtime) struct Instance {
    store: Store<State>,
    /// `None` until the first call has instantiated the guest.
    linked: Option<Linked>,
}

/// Everything that is needed to make an instance of a guest.
pub(in crate::runtime) struct Template<'a> {
    /// The name of the handler, for the log.
    pub(in crate::runtime) name: &'a Arc<str>,
    pub(in crate::runtime) pre: &'a InstancePre<State>,
    pub(in crate::runtime) services: &'a Arc<Services>,
}

impl Lease {
    /// Makes a lease that uses a new instance for each call.
    pub(in crate::runtime) fn fresh() -> Self {
        Self {
            instance: None,
            home: None,
        }
    }

    /// Makes a lease of `instance`, or of an instance that the first call makes. The instance goes back to `home` when
    /// the lease is dropped.
    #[allow(dead_code, reason = "no strategy keeps instances yet, but for tests")]
    pub(in crate::runtime) fn kept(instance: Option<Instance>, home: Arc<dyn TakeBack>) -> Self {
        Self {
            instance,
            home: Some(home),
        }
    }

    /// Runs one call under its deadline. A panic of the host fails the call and leaves the server running.
    ///
    /// This future owns the instance while the call runs, so dropping the future drops the instance. The lease gets the
    /// instance back only from a call that succeeded.
    pub(in crate::runtime) async fn call<T>(
        &mut self,
        template: Template<'_>,
        call: Call,
        body: impl AsyncFnOnce(&mut Store<State>, &Linked) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let ticker = &template.services.ticker;
        let (until, stream) = (call.until, call.stream.clone());
        let settings = &call.settings;
        let (deadline, stream_deadline) = (settings.deadline, settings.stream_deadline);
        let mut meter = Meter::new(call.began);
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
        let timed = {
            let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
            let metered = poll_fn(|context| {
                // A call that waits needs no ticks.
                let _running = ticker.run();
                meter.poll(|| work.as_mut().poll(context))
            });
            within(until, stream.as_deref(), metered).await
        };
        let result = match timed {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(CallError::from_wasmtime(&error, instance.store.data())),
            // `AssertUnwindSafe` is justified because the store is not used for another call after a panic.
            Ok(Err(panic)) => Err(CallError::Host(panic_text(panic.as_ref()))),
            Err(passed) if passed > until => Err(CallError::StreamDeadline(stream_deadline)),
            Err(_) => Err(CallError::Deadline(deadline)),
        };
        instance.store.data_mut().end(result.is_ok());
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
        let message = services.sizes.largest().saturating_add(HOSTCALL_SLACK);
        let fuel = message.max(call.settings.memory.min(HOSTCALL_BYTES));
        let state = State::new(Arc::clone(services), memory, output, Life::Call, call);
        let mut store = Store::new(template.pre.engine(), state);
        store.limiter(|state| &mut state.instance.memory);
        store.set_hostcall_fuel(fuel);
        store.set_max_component_handles(MAX_HANDLES);
        store.epoch_deadline_callback(|store| Ok(after_tick(store.data())));
        let mut instance = Self {
            store,
            linked: None,
        };
        instance.start_clock();
        instance
    }

    /// Begins another call in the same store.
    fn begin(&mut self, call: Call) {
        self.store.data_mut().begin(call);
        self.start_clock();
    }

    /// Sets the first tick after which the guest yields.
    fn start_clock(&mut self) {
        // The next tick may come at once. Only at the second tick is it certain that the guest has run for a full one.
        self.store.set_epoch_deadline(2);
    }
}

/// Waits for the work of a call until its end, which is later once its answer streams. Returns the end if it has passed.
async fn within<T>(
    until: Instant,
    stream: Option<&StreamEnd>,
    work: impl Future<Output = T>,
) -> Result<T, Instant> {
    let mut work = pin!(work);
    let timed = tokio::time::timeout_at(until.into(), work.as_mut()).await;
    let later = stream.and_then(StreamEnd::begun).filter(|end| *end > until);
    match (timed, later) {
        (Ok(done), _) => Ok(done),
        (Err(_), None) => Err(until),
        (Err(_), Some(end)) => {
            let timed = tokio::time::timeout_at(end.into(), work).await;
            timed.map_err(|_| end)
        }
    }
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

/// Returns the message of a panic.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}
