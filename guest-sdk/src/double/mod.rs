//! Test double of the host, used on every target except WebAssembly.
//!
//! Its modules have the same names and signatures as the imports that wit-bindgen generates. They read and change the
//! state of the thread. The double uses the generated types only, so that the rest of the crate can be built on it.

pub(crate) mod config;
pub(crate) mod http;
pub(crate) mod instances;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod requests;
pub(crate) mod sockets;
pub(crate) mod state;

/// Returns the values of a header. The case of the name does not matter.
fn values(headers: &[(String, String)], name: &str) -> Vec<String> {
    let named = headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.clone()).collect()
}

/// Returns the value of a key.
fn get(pairs: &[(String, String)], key: &str) -> Option<String> {
    pairs
        .iter()
        .find(|(other, _)| other == key)
        .map(|(_, value)| value.clone())
}
