//! `wasi:keyvalue@0.2.0-draft2`, as `wit/deps/keyvalue.wit` has it.

use wasmtime::component::{HasSelf, Linker, Resource};

use self::bindings::wasi::keyvalue::atomics::{self, CasError};
use self::bindings::wasi::keyvalue::batch;
use self::bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use super::operations::{BucketHandle, CasHandle, Refusal};
use crate::kv::{self, Delta, Key};
use crate::runtime::instance::state::State;

/// The version of the package.
pub(super) const VERSION: &str = "0.2.0-draft2";

mod bindings {
    #![allow(missing_docs, unreachable_pub)]

    wasmtime::component::bindgen!({
        path: "../wit/deps/keyvalue.wit",
        world: "wasi:keyvalue/imports",
        imports: {
            "wasi:keyvalue/store.open": trappable,
            "wasi:keyvalue/atomics.[method]cas.current": trappable,
            "wasi:keyvalue/store.[drop]bucket": trappable,
            "wasi:keyvalue/atomics.[drop]cas": trappable,
            default: async | trappable,
        },
        with: {
            "wasi:keyvalue/store.bucket": super::super::operations::BucketHandle,
            "wasi:keyvalue/atomics.cas": super::super::operations::CasHandle,
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

/// The first character of a cursor, so that an empty one is not taken for the first page.
const CURSOR: char = '>';

/// Returns the key that ends the page before the one that a cursor stands for.
fn after(cursor: Option<String>) -> Result<Option<Key>, kv::Error> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let key = cursor.strip_prefix(CURSOR).ok_or(kv::Error::Cursor)?;
    let key = Key::new(key.to_owned()).map_err(|_| kv::Error::Cursor)?;
    Ok(Some(key))
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

    async fn list_keys(&mut self, this: Bucket, cursor: Option<String>) -> Answer<KeyResponse> {
        let after = match after(cursor) {
            Ok(after) => after,
            Err(error) => return answer(Err(error.into())),
        };
        let page = self.kv_list(&this, after).await?;
        answer(page.map(|page| {
            let last = page.keys.last().filter(|_| page.more);
            let cursor = last.map(|key| format!("{CURSOR}{}", &**key));
            let keys = page.keys.into_iter().map(Key::into_string).collect();
            KeyResponse { keys, cursor }
        }))
    }

    fn drop(&mut self, this: Bucket) -> wasmtime::Result<()> {
        self.drop_bucket(this)
    }
}

impl atomics::Host for State {
    async fn increment(&mut self, bucket: Bucket, key: String, delta: i64) -> Answer<i64> {
        let sum = self
            .kv_increment(&bucket, key, Delta::Signed(delta))
            .await?;
        // The store checks that a signed sum is one.
        answer(sum.map(|sum| i64::try_from(sum).unwrap_or(i64::MAX)))
    }

    async fn swap(
        &mut self,
        cas: Resource<CasHandle>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        Ok(match self.kv_swap(cas, value).await? {
            Ok(None) => Ok(()),
            Ok(Some(changed)) => Err(CasError::CasFailed(changed)),
            Err(refusal) => Err(CasError::StoreError(refusal.into())),
        })
    }
}

impl atomics::HostCas for State {
    async fn new(&mut self, bucket: Bucket, key: String) -> Answer<Resource<CasHandle>> {
        answer(self.kv_compare(&bucket, key).await?)
    }

    fn current(&mut self, this: Resource<CasHandle>) -> Answer<Option<Vec<u8>>> {
        answer(self.kv_current(&this)?)
    }

    fn drop(&mut self, this: Resource<CasHandle>) -> wasmtime::Result<()> {
        self.drop_cas(this)
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
