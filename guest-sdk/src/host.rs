//! The host as this crate sees it: the generated imports in WebAssembly, a test double everywhere else.
//!
//! Both have the same names and signatures, so nothing above this file knows which one it talks to.

pub(crate) use crate::bindings::hitchy::platform::types as wit;

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::hitchy::platform::{log, requests, sockets};

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::double::{log, requests, sockets};

pub(crate) use crate::bindings::hitchy::platform::sockets::Audience;
