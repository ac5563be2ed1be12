//! The instance in which a call runs, and values that are kept in it.
//!
//! By default every call has a fresh instance. The operator may let instances live longer, with the handler's setting
//! `instances = "socket"` or `"shared"`. What a call keeps with [`with`] is then there for the later calls of the same
//! instance: for a client's next events, or for the requests of all clients.
//!
//! The server may end an instance between any two calls, and the next call begins with a new one. **A value that is
//! kept here is therefore a cache**: the handler must be able to make it again. Data that matters belongs into
//! [`kv`](crate::kv) or, if it is of one client, into the [`Context`](crate::Context) of its socket.
//!
//! ```
//! use hitchy_guest::instance::{self, Life};
//! use hitchy_guest::{App, testing};
//!
//! #[derive(Default)]
//! struct Strokes(u32);
//!
//! fn app() -> App {
//!     App::new().on("stroke", || {
//!         instance::with(|strokes: &mut Strokes| {
//!             strokes.0 += 1;
//!             strokes.0
//!         })
//!     })
//! }
//!
//! // With `instances = "socket"`, each client has its own count.
//! let app = testing::App::new(app).instances(Life::Socket); // in a #[test]
//! let (ann, bob) = (app.client().connect(), app.client().connect());
//! let strokes = |client| app.event("stroke", &()).from(client).send().unwrap().data::<u32>().unwrap();
//! assert_eq!([strokes(&ann), strokes(&ann), strokes(&bob)], [1, 2, 1]);
//!
//! // The server was short of memory, or has loaded a new version: the count begins anew.
//! app.end_instances();
//! assert_eq!(strokes(&ann), 1);
//! ```
//!
//! # What else lasts
//! The values of `static`s and of `thread_local!`s last as long as the instance as well. [`with`] does the same without
//! `unsafe` and without locks, and in tests every played instance has its own values, while a `static` is one for all.
//!
//! Nothing is dropped when an instance ends: its memory is gone at once, and no `Drop` runs.
//!
//! # What does not last
//! A [`Socket`](crate::Socket), [`Request`](crate::Request), [`Context`](crate::Context) or
//! [`Bucket`](crate::kv::Bucket) belongs to the call that received it. If it is kept and used in a later call, methods
//! that can fail return an error (410 for sockets), and the others end the call. Keep the id of a socket instead, and
//! get it with [`find`](crate::find).

use std::any::type_name;

use crate::host::instances;
pub use crate::life::Life;

/// Returns how long the instance of this call lives.
///
/// It depends on the setting `instances`, and with `"socket"` also on the call: requests and schedules belong to no
/// connection, so they have fresh instances and [`Life::Call`].
pub fn life() -> Life {
    Life::from_word(&instances::life())
}

/// Returns the number of calls that the instance had before this one. It is 0 in the first call.
///
/// Hooks and policies count as well as events and requests.
pub fn calls() -> u32 {
    instances::calls()
}

/// Runs a function with the value of type `T` that is kept in this instance, and returns what the function returns.
///
/// There is one value of each type. It is `T::default()` at its first use, so a handler uses a type of its own, or an
/// `Option` for what cannot be made from nothing:
///
/// ```
/// use hitchy_guest::{Result, instance, kv};
///
/// #[derive(Default)]
/// struct Rates(Option<Vec<f64>>);
///
/// /// Reads the rates once for each instance.
/// fn rate(index: usize) -> Result<Option<f64>> {
///     instance::with(|rates: &mut Rates| {
///         let rates = match &mut rates.0 {
///             Some(rates) => rates,
///             none => none.insert(kv::get("rates")?.unwrap_or_default()),
///         };
///         Ok(rates.get(index).copied())
///     })
/// }
/// # assert_eq!(rate(0).ok(), Some(None));
/// ```
///
/// # Panics
/// Panics when it is called inside itself for the same type.
pub fn with<T: Default + 'static, R>(act: impl FnOnce(&mut T) -> R) -> R {
    let value = instances::value::<T>();
    let Ok(mut value) = value.try_borrow_mut() else {
        panic!(
            "instance::with was called for {} while another instance::with uses it: end the outer one first",
            type_name::<T>()
        );
    };
    act(&mut value)
}
