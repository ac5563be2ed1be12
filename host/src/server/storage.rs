//! The key-value storage of the server, as the settings have it.

use std::sync::Arc;

use crate::config::{Backend, KeyValue};
use crate::kv::{Embedded, OpenError, Store, StoreSettings};

/// Opens the key-value storage. If there is none, it is made when a handler first stores something.
pub(super) fn open(settings: &KeyValue) -> Result<Arc<dyn Store>, OpenError> {
    // The one place that names a backend: the rest of the server knows the trait `Store` only.
    match settings.backend {
        Backend::Embedded => Ok(Arc::new(Embedded::open(store_settings(settings))?)),
    }
}

/// Returns the settings of the embedded storage.
pub(crate) fn store_settings(settings: &KeyValue) -> StoreSettings {
    StoreSettings {
        folder: settings.path.clone(),
        max_keys: settings.max_keys,
        max_bytes: settings.max_bytes,
        min_free: settings.min_free,
        cache: settings.page_cache,
    }
}
