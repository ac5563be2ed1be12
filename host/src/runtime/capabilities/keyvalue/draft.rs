//! `wasi:keyvalue@0.2.0-draft`, the draft before `draft2`, which other hosts offer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, Resource};

use self::bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use self::bindings::wasi::keyvalue::{atomics, batch};
use super::operations::{BucketHandle, Refusal};
use crate::kv::{self, BucketName, Delta, Key};
use crate::message::CallId;
use crate::runtime::instance::state::State;

/// The version of the package.
pub(super) const VERSION: &str = "0.2.0-draft";

mod bindings {
    #![allow(missing_docs, unreachable_pub)]

    wasmtime::component::bindgen!({
        path: "src/runtime/capabilities/keyvalue/draft.wit",
        world: "wasi:keyvalue/imports",
        imports: {
            "wasi:keyvalue/store.open": trappable,
            "wasi:keyvalue/store.[drop]bucket": trappable,
            default: async | trappable,
        },
        with: {
            "wasi:keyvalue/store.bucket": super::super::operations::BucketHandle,
        },
    });
}

/// Adds the interfaces to a linker.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    store::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    atomics::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    batch::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

type Bucket = Resource<BucketHandle>;
type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied => Self::AccessDenied,
            Refusal::Other(sentence) => Self::Other(sentence),
        }
    }
}

/// Converts the answer of an operation.
fn answer<T>(result: Result<T, Refusal>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

/// The ends of the pages that the call was given.
///
/// The number of operations of a call bounds them.
#[derive(Default)]
struct Pages(Vec<(BucketName, Key)>);

/// Bits of a cursor for the number of a page, more than calls may make operations. The others stand for the call, so
/// that a cursor of another call is recognised.
const PAGE_BITS: u32 = 24;

/// A call of an instance: its id, which policies and the route of a request share, and the number of calls before it.
type CallKey = (CallId, u32);

impl Pages {
    /// Returns the cursor of a page of a call. Pages are counted from 1, because 0 stands for the first page.
    fn cursor(call: &CallKey, number: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        call.hash(&mut hasher);
        hasher.finish() << PAGE_BITS | number as u64
    }

    /// Returns the end of the page of a cursor that the call was given.
    fn at(&self, call: &CallKey, cursor: u64) -> Option<&(BucketName, Key)> {
        let number = usize::try_from(cursor & ((1 << PAGE_BITS) - 1)).ok()?;
        let page = self.0.get(number.checked_sub(1)?)?;
        (cursor == Self::cursor(call, number)).then_some(page)
    }
}

impl State {
    fn call_key(&self) -> wasmtime::Result<CallKey> {
        let id = Arc::clone(&self.call()?.call.id);
        Ok((id, self.instance.calls))
    }

    /// Returns the key that ends the page before the one that a cursor stands for. 0 stands for the first page.
    fn after_page(&mut self, bucket: &Bucket, cursor: Option<u64>) -> Answer<Option<Key>> {
        let Some(cursor) = cursor.filter(|cursor| *cursor > 0) else {
            return Ok(Ok(None));
        };
        let name = match self.bucket_name(bucket)? {
            Ok(name) => name,
            Err(refusal) => return answer(Err(refusal)),
        };
        let call = self.call_key()?;
        let pages: &mut Pages = self.call_mut()?.notes();
        let key = pages
            .at(&call, cursor)
            .filter(|(of, _)| *of == name)
            .map(|(_, key)| key.clone());
        match key {
            Some(key) => Ok(Ok(Some(key))),
            None => answer(Err(kv::Error::Cursor.into())),
        }
    }
}

impl store::Host for State {
    fn open(&mut self, identifier: String) -> Answer<Bucket> {
        answer(self.kv_open(&identifier)?)
    }
}

impl store::HostBucket for State {
    async fn get(&mut self, this: Bucket, key: String) -> Answer<Option<Vec<u8>>> {
        answer(self.kv_get(&this, key).await?)
    }

    async fn set(&mut self, this: Bucket, key: String, value: Vec<u8>) -> Answer<()> {
        answer(self.kv_set(&this, key, value).await?)
    }

    async fn delete(&mut self, this: Bucket, key: String) -> Answer<()> {
        answer(self.kv_delete(&this, key).await?)
    }

    async fn exists(&mut self, this: Bucket, key: String) -> Answer<bool> {
        answer(self.kv_exists(&this, key).await?)
    }

    async fn list_keys(&mut self, this: Bucket, cursor: Option<u64>) -> Answer<KeyResponse> {
        let after = match self.after_page(&this, cursor)? {
            Ok(after) => after,
            Err(error) => return Ok(Err(error)),
        };
        let page = match self.kv_list(&this, after).await? {
            Ok(page) => page,
            Err(refusal) => return answer(Err(refusal)),
        };
        let name = match self.bucket_name(&this)? {
            Ok(name) => name,
            Err(refusal) => return answer(Err(refusal)),
        };
        let last = page.keys.last().filter(|_| page.more).cloned();
        let call = self.call_key()?;
        let Pages(pages) = self.call_mut()?.notes();
        let cursor = last.map(|key| {
            pages.push((name, key));
            Pages::cursor(&call, pages.len())
        });
        let keys = page.keys.into_iter().map(Key::into_string).collect();
        Ok(Ok(KeyResponse { keys, cursor }))
    }

    fn drop(&mut self, this: Bucket) -> wasmtime::Result<()> {
        self.drop_bucket(this)
    }
}

impl atomics::Host for State {
    async fn increment(&mut self, bucket: Bucket, key: String, delta: u64) -> Answer<u64> {
        let sum = self
            .kv_increment(&bucket, key, Delta::Unsigned(delta))
            .await?;
        // The store checks that an unsigned sum is one.
        answer(sum.map(|sum| u64::try_from(sum).unwrap_or(u64::MAX)))
    }
}

impl batch::Host for State {
    async fn get_many(
        &mut self,
        bucket: Bucket,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        answer(self.kv_get_many(&bucket, keys).await?)
    }

    async fn set_many(&mut self, bucket: Bucket, pairs: Vec<(String, Vec<u8>)>) -> Answer<()> {
        answer(self.kv_set_many(&bucket, pairs).await?)
    }

    async fn delete_many(&mut self, bucket: Bucket, keys: Vec<String>) -> Answer<()> {
        answer(self.kv_delete_many(&bucket, keys).await?)
    }
}
