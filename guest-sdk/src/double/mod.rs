//! The imports, answered by the world of the thread: same names and signatures as what wit-bindgen makes.

pub(crate) mod log;
pub(crate) mod requests;
pub(crate) mod sockets;
pub(crate) mod world;

fn values(headers: &[(String, String)], name: &str) -> Vec<String> {
    let named = headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.clone()).collect()
}

fn get(pairs: &[(String, String)], key: &str) -> Option<String> {
    pairs
        .iter()
        .find(|(other, _)| other == key)
        .map(|(_, value)| value.clone())
}
