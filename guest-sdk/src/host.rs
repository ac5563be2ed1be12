//! The functions and types of the host that the crate uses: the generated imports in WebAssembly, and a test double on
//! every other target.
//!
//! Both have the same names and signatures, so the rest of the crate does not depend on the target.

use std::time::Duration;

pub(crate) use crate::bindings::hitchy::platform::types as wit;

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::hitchy::platform::{log, requests, sockets};

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::wasi::config::store as config;

#[cfg(target_family = "wasm")]
pub(crate) mod kv {
    //! The three interfaces of key-value storage.

    pub(crate) use crate::bindings::wasi::keyvalue::atomics::{Cas, CasError, increment, swap};
    pub(crate) use crate::bindings::wasi::keyvalue::batch::{delete_many, get_many, set_many};
    pub(crate) use crate::bindings::wasi::keyvalue::store::{Bucket, Error, open};
}

#[cfg(target_family = "wasm")]
pub(crate) mod instances {
    //! What the host knows of this instance, and the values that the handler keeps in it.

    use std::cell::RefCell;
    use std::rc::Rc;

    pub(crate) use crate::bindings::hitchy::platform::instances::{calls, life};
    use crate::values::Values;

    thread_local! {
        static VALUES: Values = const { Values::new() };
    }

    /// Returns the value of a type that is kept in this instance.
    pub(crate) fn value<T: Default + 'static>() -> Rc<RefCell<T>> {
        VALUES.with(Values::get)
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::double::{config, instances, kv, log, requests, sockets};

pub(crate) use crate::bindings::hitchy::platform::sockets::Audience;

/// Converts a timeout to the unit of the contract. A timeout above 49 days becomes 49 days.
pub(crate) fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}
