//! Buckets of key-value storage that no handler uses: what remains when the file of a handler is renamed or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::kv::{BucketSize, Store};
use crate::names::bare;
use crate::registry::{Registry, Table};
use crate::text::visible;

/// Time between two looks at the table. Looking is comparing two pointers.
const INTERVAL: Duration = Duration::from_millis(500);

/// Logs each bucket that no handler uses, once, at the start and after each reload. Ends only when it is dropped.
pub(super) async fn report(registry: Arc<Registry>, store: Arc<dyn Store>) {
    registry.ready().await;
    let (mut seen, mut told) = (None::<Arc<Table>>, BTreeSet::new());
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let table = registry.table();
        if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &table)) {
            continue;
        }
        // A store that cannot be read reports that itself, and the next reload tries again.
        let buckets = store.buckets().await.unwrap_or_default();
        let used = used_buckets(&registry, &table);
        let orphans: BTreeMap<String, BucketSize> = buckets
            .into_iter()
            .filter(|bucket| !used.contains(&*bucket.name))
            .map(|bucket| (bucket.name.to_string(), bucket))
            .collect();
        told.retain(|name| orphans.contains_key(name));
        for (name, bucket) in orphans {
            if told.insert(name) {
                tell(&bucket);
            }
        }
        seen = Some(table);
    }
}

/// Returns the buckets that a handler owns or may use. A file that is refused now owns what its name says.
fn used_buckets(registry: &Registry, table: &Table) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for refused in &registry.status().refused {
        used.insert(bare(&refused.file).to_owned());
    }
    for handler in &table.handlers {
        let settings = &handler.settings;
        let own = settings.bucket.as_deref();
        used.insert(own.unwrap_or_else(|| bare(&handler.name)).to_owned());
        used.extend(settings.buckets.keys().cloned());
    }
    used
}

fn tell(bucket: &BucketSize) {
    let name = visible(&bucket.name);
    tracing::warn!(
        "the bucket {name} of key-value storage has {} keys and no handler uses it: the file of its handler was renamed or \
         removed, or hitchy kv made it; write bucket = \"{name}\" for the handler that shall have it, or remove it with hitchy kv delete --all {name}",
        bucket.keys
    );
}
