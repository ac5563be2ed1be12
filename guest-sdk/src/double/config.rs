//! The import `wasi:config/store`, with the values that a test has set.

use super::state;
pub(crate) use crate::bindings::wasi::config::store::Error;

pub(crate) fn get(key: &str) -> Result<Option<String>, Error> {
    Ok(state::with(|state| state.config.get(key).cloned()))
}

pub(crate) fn get_all() -> Result<Vec<(String, String)>, Error> {
    Ok(state::with(|state| {
        let all = state.config.iter();
        all.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }))
}
