//! What a handler may do with buckets, and the operations of both drafts.

use std::sync::Arc;

use tracing::Level;
use wasmtime::component::Resource;

use crate::kv::{
    Batch, BucketName, Delta, Error, Expected, Key, KeyPage, Pair, Store, Value, VersionedValue,
};
use crate::runtime::instance::handles::{Held, StaleHandle};
use crate::runtime::instance::state::State;
use crate::runtime::settings::BucketAccess;

/// A guest's handle to a bucket.
#[derive(Clone)]
#[allow(unreachable_pub)]
pub struct BucketHandle {
    name: BucketName,
    access: BucketAccess,
}

/// A guest's handle to a comparison of a key's value now with its value later.
#[derive(Clone)]
#[allow(unreachable_pub)]
pub struct CasHandle {
    bucket: BucketHandle,
    key: Key,
    /// The value when the comparison began.
    entry: Option<VersionedValue>,
}

impl CasHandle {
    /// Returns the bytes that the server holds for it.
    fn size(&self) -> usize {
        let value = self.entry.as_ref().map_or(0, |entry| entry.value.len());
        self.key.len() + value
    }
}

impl Held for BucketHandle {
    const WORDS: (&'static str, &'static str) = ("a bucket", "open it anew");
}

impl Held for CasHandle {
    const WORDS: (&'static str, &'static str) = ("a comparison (cas)", "begin another");
}

/// Bytes that the comparisons of a call may hold: they are in the server's memory, not in the guest's.
const MAX_HELD_BY_CAS: usize = 8 << 20;

/// The bytes that the comparisons of the call hold.
#[derive(Default)]
struct HeldByCas(usize);

/// The reason why an operation fails.
pub(super) enum Refusal {
    /// The handler may not use the bucket, or may only read it.
    Denied,
    /// Anything else, as a sentence.
    Other(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<StaleHandle> for Refusal {
    fn from(error: StaleHandle) -> Self {
        Self::Other(error.to_string())
    }
}

/// The result of an operation: the outer error ends the call.
pub(super) type Answer<T> = wasmtime::Result<Result<T, Refusal>>;

/// The operations that the call has made.
#[derive(Default)]
struct Counted(u32);

/// Ends an operation with an error for the guest.
macro_rules! tried {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(Refusal::from(error))),
        }
    };
}

impl State {
    /// Returns the store of this server.
    fn key_value_store(&self) -> Result<Arc<dyn Store>, Refusal> {
        let store = self.instance.services.backends.get::<Arc<dyn Store>>();
        let missing = || Refusal::Other("this server has no key-value storage".to_owned());
        store.cloned().ok_or_else(missing)
    }

    /// Counts operations on `keys` keys. Fails if the call has made as many as it may.
    fn count_operations(&mut self, keys: usize) -> wasmtime::Result<Result<(), Refusal>> {
        let state = self.call_mut()?;
        let max = state.call.settings.kv_ops_per_call;
        let Counted(counted) = state.notes();
        let after = counted.saturating_add(u32::try_from(keys.max(1)).unwrap_or(u32::MAX));
        if after > max {
            return Ok(Err(Refusal::Other(format!(
                "rate-limited: a call may make {max} key-value operations (limits.kv-ops-per-call), each key counting as one"
            ))));
        }
        *counted = after;
        Ok(Ok(()))
    }

    /// Returns the bucket of a handle, if the call may make operations on `keys` more keys.
    fn reading(&mut self, handle: &Resource<BucketHandle>, keys: usize) -> Answer<BucketHandle> {
        if let Err(refusal) = self.count_operations(keys)? {
            return Ok(Err(refusal));
        }
        let bucket = tried!(self.handles()?.get(handle)?);
        Ok(Ok(bucket.clone()))
    }

    /// Does the same for an operation that changes the bucket.
    fn writing(&mut self, handle: &Resource<BucketHandle>, keys: usize) -> Answer<BucketHandle> {
        let bucket = tried!(self.reading(handle, keys)?);
        self.check_write(bucket)
    }

    fn check_write(&mut self, bucket: BucketHandle) -> Answer<BucketHandle> {
        if bucket.access == BucketAccess::Read {
            self.tell_denied(&bucket.name, "may only read");
            return Ok(Err(Refusal::Denied));
        }
        Ok(Ok(bucket))
    }

    /// Tells the operator of an operation that was denied. The log of a call is bounded.
    fn tell_denied(&self, bucket: &str, what: &str) {
        let output = &self.instance.output;
        let handler = own_bucket_name(output.handler());
        let message = format!(
            "access denied to the bucket {bucket:?}, which this handler {what}; to grant it, write buckets = {{ {bucket:?} = \"read-write\" }} in {handler}.toml beside the handler"
        );
        output.record(Level::WARN, &message);
    }

    /// Returns a bucket by the name that a guest uses.
    fn find_bucket(&mut self, identifier: &str) -> Answer<BucketHandle> {
        if let Err(failure) = self.serving() {
            return Ok(Err(Refusal::Other(failure.message)));
        }
        if let Err(refusal) = self.count_operations(1)? {
            return Ok(Err(refusal));
        }
        let settings = Arc::clone(&self.call()?.call.settings);
        let file = Arc::clone(self.instance.output.handler());
        let own = settings
            .bucket
            .as_deref()
            .unwrap_or_else(|| own_bucket_name(&file));
        if matches!(identifier, "" | "default") || identifier == own {
            let name = tried!(BucketName::new(own));
            return Ok(Ok(BucketHandle {
                name,
                access: BucketAccess::ReadWrite,
            }));
        }
        let Some(access) = settings.buckets.get(identifier) else {
            // The name may be of any size and content.
            let shown: String = identifier.chars().take(64).collect();
            self.tell_denied(&shown, "may not use");
            return Ok(Err(Refusal::Denied));
        };
        let name = tried!(BucketName::new(identifier));
        Ok(Ok(BucketHandle {
            name,
            access: *access,
        }))
    }

    pub(super) fn kv_open(&mut self, identifier: &str) -> Answer<Resource<BucketHandle>> {
        let bucket = tried!(self.find_bucket(identifier)?);
        Ok(Ok(self.handles_mut()?.push(bucket)?))
    }

    pub(super) async fn kv_get(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let bucket = tried!(self.reading(handle, 1)?);
        let key = tried!(Key::new(key));
        let store = tried!(self.key_value_store());
        let entry = tried!(store.get(&bucket.name, key).await);
        Ok(Ok(entry.map(|entry| entry.value.to_vec())))
    }

    pub(super) async fn kv_set(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let bucket = tried!(self.writing(handle, 1)?);
        let (key, value) = (tried!(Key::new(key)), tried!(Value::new(value)));
        let store = tried!(self.key_value_store());
        tried!(store.set(&bucket.name, key, value).await);
        Ok(Ok(()))
    }

    pub(super) async fn kv_delete(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
    ) -> Answer<()> {
        let bucket = tried!(self.writing(handle, 1)?);
        let key = tried!(Key::new(key));
        let store = tried!(self.key_value_store());
        tried!(store.delete(&bucket.name, key).await);
        Ok(Ok(()))
    }

    pub(super) async fn kv_exists(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
    ) -> Answer<bool> {
        let bucket = tried!(self.reading(handle, 1)?);
        let key = tried!(Key::new(key));
        let store = tried!(self.key_value_store());
        Ok(Ok(tried!(store.exists(&bucket.name, key).await)))
    }

    /// Returns the page of keys after `after`, with the name of the bucket.
    pub(super) async fn kv_list(
        &mut self,
        handle: &Resource<BucketHandle>,
        after: Option<Key>,
    ) -> Answer<KeyPage> {
        let bucket = tried!(self.reading(handle, 1)?);
        let store = tried!(self.key_value_store());
        Ok(Ok(tried!(store.list(&bucket.name, after).await)))
    }

    pub(super) async fn kv_increment(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
        delta: Delta,
    ) -> Answer<i128> {
        let bucket = tried!(self.writing(handle, 1)?);
        let key = tried!(Key::new(key));
        let store = tried!(self.key_value_store());
        Ok(Ok(tried!(store.increment(&bucket.name, key, delta).await)))
    }

    /// Begins a comparison with the value that a key has now.
    pub(super) async fn kv_compare(
        &mut self,
        handle: &Resource<BucketHandle>,
        key: String,
    ) -> Answer<Resource<CasHandle>> {
        let bucket = tried!(self.reading(handle, 1)?);
        let key = tried!(Key::new(key));
        let store = tried!(self.key_value_store());
        let entry = tried!(store.get(&bucket.name, key.clone()).await);
        self.push_cas(CasHandle { bucket, key, entry })
    }

    /// Hands a comparison out, if the call holds few enough bytes in comparisons.
    fn push_cas(&mut self, cas: CasHandle) -> Answer<Resource<CasHandle>> {
        let size = cas.size();
        let call = self.call_mut()?;
        let HeldByCas(held) = call.notes();
        if *held + size > MAX_HELD_BY_CAS {
            let text = format!(
                "a call may hold comparisons (cas) of {} MiB at once; swap or drop some",
                MAX_HELD_BY_CAS >> 20
            );
            return Ok(Err(Refusal::Other(text)));
        }
        *held += size;
        Ok(Ok(self.handles_mut()?.push(cas)?))
    }

    /// Takes a comparison back.
    fn take_cas(
        &mut self,
        handle: &Resource<CasHandle>,
    ) -> wasmtime::Result<Result<CasHandle, StaleHandle>> {
        let taken = self.handles_mut()?.delete(handle)?;
        if let Ok(cas) = &taken {
            let HeldByCas(held) = self.call_mut()?.notes();
            *held = held.saturating_sub(cas.size());
        }
        Ok(taken)
    }

    /// Returns the value that the key had when the comparison began.
    pub(super) fn kv_current(&mut self, handle: &Resource<CasHandle>) -> Answer<Option<Vec<u8>>> {
        let cas = tried!(self.handles()?.get(handle)?);
        Ok(Ok(cas.entry.as_ref().map(|entry| entry.value.to_vec())))
    }

    /// Sets the value if nothing has changed the key. Returns another comparison if something has.
    pub(super) async fn kv_swap(
        &mut self,
        handle: Resource<CasHandle>,
        value: Vec<u8>,
    ) -> Answer<Option<Resource<CasHandle>>> {
        let CasHandle { bucket, key, entry } = tried!(self.take_cas(&handle)?);
        if let Err(refusal) = self.count_operations(1)? {
            return Ok(Err(refusal));
        }
        let bucket = tried!(self.check_write(bucket)?);
        let value = tried!(Value::new(value));
        let expected = entry.map_or(Expected::Absent, |entry| Expected::Version(entry.version));
        let store = tried!(self.key_value_store());
        let swapped = store.swap(&bucket.name, key.clone(), expected, value).await;
        if tried!(swapped) {
            return Ok(Ok(None));
        }
        let entry = tried!(store.get(&bucket.name, key.clone()).await);
        let again = self.push_cas(CasHandle { bucket, key, entry })?;
        Ok(again.map(Some))
    }

    pub(super) async fn kv_get_many(
        &mut self,
        handle: &Resource<BucketHandle>,
        names: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let bucket = tried!(self.reading(handle, names.len())?);
        let keys: Vec<Key> = tried!(names.iter().cloned().map(Key::new).collect());
        let keys = tried!(Batch::of_keys(keys));
        let store = tried!(self.key_value_store());
        let values = tried!(store.get_many(&bucket.name, keys).await);
        let with_key = |(name, value): (String, Option<Value>)| Some((name, value?.to_vec()));
        Ok(Ok(names.into_iter().zip(values).map(with_key).collect()))
    }

    pub(super) async fn kv_set_many(
        &mut self,
        handle: &Resource<BucketHandle>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        let bucket = tried!(self.writing(handle, pairs.len())?);
        let pair = |(key, value)| Ok((Key::new(key)?, Value::new(value)?));
        let checked: Result<Vec<Pair>, Error> = pairs.into_iter().map(pair).collect();
        let batch = tried!(checked.and_then(Batch::of_pairs));
        let store = tried!(self.key_value_store());
        tried!(store.set_many(&bucket.name, batch).await);
        Ok(Ok(()))
    }

    pub(super) async fn kv_delete_many(
        &mut self,
        handle: &Resource<BucketHandle>,
        names: Vec<String>,
    ) -> Answer<()> {
        let bucket = tried!(self.writing(handle, names.len())?);
        let checked: Result<Vec<Key>, Error> = names.into_iter().map(Key::new).collect();
        let batch = tried!(checked.and_then(Batch::of_keys));
        let store = tried!(self.key_value_store());
        tried!(store.delete_many(&bucket.name, batch).await);
        Ok(Ok(()))
    }

    /// Returns the name of the bucket of a handle.
    pub(super) fn bucket_name(&self, handle: &Resource<BucketHandle>) -> Answer<BucketName> {
        let bucket = tried!(self.handles()?.get(handle)?);
        Ok(Ok(bucket.name.clone()))
    }

    pub(super) fn drop_bucket(&mut self, handle: Resource<BucketHandle>) -> wasmtime::Result<()> {
        let _taken = self.handles_mut()?.delete(&handle)?;
        Ok(())
    }

    pub(super) fn drop_cas(&mut self, handle: Resource<CasHandle>) -> wasmtime::Result<()> {
        self.take_cas(&handle).map(drop)
    }
}

/// Returns the name of a handler's own bucket, unless its settings name another.
fn own_bucket_name(file: &str) -> &str {
    crate::names::bare(file)
}
