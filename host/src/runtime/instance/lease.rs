//! Leases: the right to call an instance.
//!
//! A strategy hands out a lease for an owner, and the lease runs calls. It drops its instance if a call ended in a trap
//! or a timeout, or was dropped. A lease may outlive the function that took it.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use super::counts::{Counted, InstanceEnd};
use super::cpu::Meter;
use super::state::{Call, State, StreamEnd};
use super::store::{Instance, Linked, Template};
use crate::runtime::error::CallError;
use crate::runtime::settings::Life;
use crate::sockets::Connection;

/// The owner of an instance. Strategies that keep instances choose by it.
#[derive(Clone, Copy)]
pub(in crate::runtime) enum Owner<'a> {
    /// The instance may serve every caller.
    Anyone,
    /// The instance serves one connection to a namespace.
    Socket(&'a Arc<Connection>),
}

/// The place where an instance is kept between its calls.
pub(in crate::runtime) trait Home: Send + Sync {
    /// Returns how long its instances live.
    fn life(&self) -> Life;
    /// Counts an instance that a call makes.
    fn enroll(&self) -> Counted;
    /// Returns what becomes of an instance when a call in it has succeeded.
    fn after_call(&self) -> AfterCall {
        AfterCall::Keep
    }
    /// Keeps an instance for later leases, or drops it. Its last call succeeded. `None` stands for an instance that has
    /// ended, or that was never made.
    fn take_back(&self, instance: Option<Instance>);
}

/// What becomes of an instance after a call that succeeded.
pub(in crate::runtime) enum AfterCall {
    /// It is kept for the next call as it is.
    Keep,
    /// It is made what it was before its first call, and kept.
    Rewind,
    /// It ends.
    End(InstanceEnd),
}

/// The right to call one instance.
pub(in crate::runtime) struct Lease {
    /// `None` before the first call, and after a call that failed. The next call makes a new instance.
    instance: Option<Instance>,
    /// `None` if the instance ends with its call.
    home: Option<Arc<dyn Home>>,
    /// The permit for one of the instances of a pool, given back after the instance.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Makes a lease that uses a new instance for each call.
    pub(in crate::runtime) fn fresh() -> Self {
        Self {
            instance: None,
            home: None,
            _permit: None,
        }
    }

    /// Makes a lease of `instance`, or of an instance that the first call makes. The instance goes back to `home` when
    /// the lease is dropped, and then the permit, if there is one.
    pub(in crate::runtime) fn kept(
        instance: Option<Instance>,
        home: Arc<dyn Home>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            instance,
            home: Some(home),
            _permit: permit,
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
        body: impl AsyncFnOnce(&mut Store<State>, &mut Linked) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let ticker = &template.services.ticker;
        let (until, stream) = (call.until, call.stream.clone());
        let settings = &call.settings;
        let (deadline, stream_deadline) = (settings.deadline, settings.stream_deadline);
        let mut meter = Meter::new(call.entered);
        let mut instance = self.instance(&template, call);
        let work = async {
            let (store, linked) = instance.linked(&template).await?;
            body(store, linked).await
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
            Ok(Ok(Err(error))) => Err(CallError::from_wasmtime(&error, instance.state())),
            // `AssertUnwindSafe` is justified because the store is not used for another call after a panic.
            Ok(Err(panic)) => Err(CallError::Host(panic_text(panic.as_ref()))),
            Err(passed) if passed > until => Err(CallError::StreamDeadline(stream_deadline)),
            Err(_) => Err(CallError::Deadline(deadline)),
        };
        let after = self.home.as_ref().filter(|_| result.is_ok());
        let ended = match after.map(|home| home.after_call()) {
            Some(AfterCall::Rewind) => rewind(&mut instance).await.err(),
            Some(AfterCall::End(end)) => Some(end),
            Some(AfterCall::Keep) | None => None,
        };
        instance.end_call(result.is_ok());
        match (&result, &self.home, ended) {
            (Ok(_), Some(_), Some(end)) => instance.end(end),
            (Ok(_), Some(_), None) => self.instance = Some(instance),
            _ => {}
        }
        result
    }

    /// Returns the instance for a call: the one of the lease, or else a new one.
    fn instance(&mut self, template: &Template<'_>, call: Call) -> Instance {
        if let Some(mut instance) = self.instance.take() {
            instance.begin(call);
            return instance;
        }
        match &self.home {
            Some(home) => Instance::new(template, home.life(), Some(home.enroll()), call),
            None => Instance::new(template, Life::Call, None, call),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.take_back(self.instance.take());
        }
    }
}

/// Rewinds an instance whose call has not ended. The call is not charged for it, and has succeeded whatever happens.
async fn rewind(instance: &mut Instance) -> Result<(), InstanceEnd> {
    let mut meter = Meter::new(Instant::now());
    // An instance that panics ends.
    let mut work = pin!(AssertUnwindSafe(instance.rewind()).catch_unwind());
    let rewound = poll_fn(|context| meter.poll(|| work.as_mut().poll(context))).await;
    rewound.unwrap_or(Err(InstanceEnd::Fault))
}

/// Waits for the work of a call until its end, which is later once its answer streams. Returns the end if it has
/// passed.
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

/// Returns the message of a panic.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned())
}
