//! Key-value storage and configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rquickjs::{Array, Ctx, Result, TypedArray};

use super::Host;
use crate::bindings::wasi::config::store as config;
use crate::bindings::wasi::keyvalue::atomics::{self, Cas, CasError};
use crate::bindings::wasi::keyvalue::store::{self, Bucket, Error};
use crate::values::{bytes, error, flat};

thread_local! {
    /// The buckets that the call has opened, by name.
    static BUCKETS: RefCell<BTreeMap<String, Rc<Bucket>>> = const { RefCell::new(BTreeMap::new()) };
    /// The swap that has been begun.
    static SWAP: RefCell<Option<Cas>> = const { RefCell::new(None) };
}

/// Closes what the call has opened.
pub fn clear() {
    SWAP.set(None);
    BUCKETS.with_borrow_mut(BTreeMap::clear);
}

fn failed(ctx: &Ctx<'_>, cause: Error) -> rquickjs::Error {
    let message = match cause {
        Error::NoSuchStore => "there is no such bucket".to_owned(),
        Error::AccessDenied => "this handler may not use this bucket (setting buckets)".to_owned(),
        Error::Other(cause) => cause,
    };
    error(ctx, &message)
}

fn with<T>(
    ctx: &Ctx<'_>,
    name: String,
    work: impl FnOnce(&Bucket) -> std::result::Result<T, Error>,
) -> Result<T> {
    let known = BUCKETS.with_borrow(|buckets| buckets.get(&name).cloned());
    let bucket = match known {
        Some(bucket) => bucket,
        None => {
            let opened = store::open(&name).map_err(|cause| failed(ctx, cause))?;
            let opened = Rc::new(opened);
            BUCKETS.with_borrow_mut(|buckets| buckets.insert(name, Rc::clone(&opened)));
            opened
        }
    };
    work(&bucket).map_err(|cause| failed(ctx, cause))
}

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("kvGet", get)?;
    host.add(
        "kvSet",
        |ctx: Ctx<'_>, bucket: String, key: String, value: TypedArray<'_, u8>| {
            with(&ctx, bucket, |bucket| bucket.set(&key, &bytes(&value)))
        },
    )?;
    host.add("kvDelete", |ctx: Ctx<'_>, bucket: String, key: String| {
        with(&ctx, bucket, |bucket| bucket.delete(&key))
    })?;
    host.add("kvExists", |ctx: Ctx<'_>, bucket: String, key: String| {
        with(&ctx, bucket, |bucket| bucket.exists(&key))
    })?;
    host.add(
        "kvIncrement",
        |ctx: Ctx<'_>, bucket: String, key: String, delta: f64| {
            with(&ctx, bucket, |bucket| {
                atomics::increment(bucket, &key, delta as i64).map(|value| value as f64)
            })
        },
    )?;
    host.add("kvKeys", keys)?;
    host.add("kvBeginSwap", begin_swap)?;
    host.add("kvSwap", swap)?;
    host.add("config", |ctx: Ctx<'_>| {
        let all = config::get_all();
        all.map(flat).map_err(|cause| {
            let (config::Error::Upstream(cause) | config::Error::Io(cause)) = cause;
            error(&ctx, &format!("the configuration cannot be read: {cause}"))
        })
    })
}

fn get<'js>(ctx: Ctx<'js>, bucket: String, key: String) -> Result<Option<TypedArray<'js, u8>>> {
    let value = with(&ctx, bucket, |bucket| bucket.get(&key))?;
    value.map(|value| TypedArray::new(ctx, value)).transpose()
}

/// Returns a page of keys: `[keys, cursor]`.
fn keys<'js>(ctx: Ctx<'js>, bucket: String, cursor: Option<String>) -> Result<Array<'js>> {
    let page = with(&ctx, bucket, |bucket| bucket.list_keys(cursor.as_deref()))?;
    let array = Array::new(ctx)?;
    array.set(0, page.keys)?;
    array.set(1, page.cursor)?;
    Ok(array)
}

/// Begins a compare-and-swap, and returns the value as it is.
fn begin_swap<'js>(
    ctx: Ctx<'js>,
    bucket: String,
    key: String,
) -> Result<Option<TypedArray<'js, u8>>> {
    let cas = with(&ctx, bucket, |bucket| Cas::new(bucket, &key))?;
    let current = cas.current().map_err(|cause| failed(&ctx, cause))?;
    SWAP.set(Some(cas));
    current.map(|value| TypedArray::new(ctx, value)).transpose()
}

/// Ends a compare-and-swap. Returns false if another call has changed the value meanwhile.
fn swap(ctx: Ctx<'_>, value: TypedArray<'_, u8>) -> Result<bool> {
    let begun = SWAP.take();
    let cas = begun.ok_or_else(|| error(&ctx, "no swap has been begun"))?;
    match atomics::swap(cas, &bytes(&value)) {
        Ok(()) => Ok(true),
        Err(CasError::CasFailed(_)) => Ok(false),
        Err(CasError::StoreError(cause)) => Err(failed(&ctx, cause)),
    }
}
