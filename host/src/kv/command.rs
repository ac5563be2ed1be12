//! Commands of the operator, as values that can be sent to a running server. Keys and values travel as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::store::Store;
use super::types::{Batch, BucketName, Key, Pair, Value};

/// Bytes that JSON may be of: those of the largest batch in base64, with names and syntax.
pub const MAX_COMMAND: usize = 16 << 20;

/// What an operator asks of a store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// Lists the buckets.
    Buckets,
    /// Reads a key.
    Get {
        /// The name of the bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Sets keys: all of them, or none.
    Set {
        /// The name of the bucket.
        bucket: String,
        /// Keys with their values.
        pairs: Vec<(String, Binary)>,
    },
    /// Deletes a key.
    Delete {
        /// The name of the bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Deletes some of the keys of a bucket.
    Clear {
        /// The name of the bucket.
        bucket: String,
    },
    /// Lists keys.
    Keys {
        /// The name of the bucket.
        bucket: String,
        /// The last key of the page before.
        after: Option<String>,
    },
    /// Lists keys with their values.
    Pairs {
        /// The name of the bucket.
        bucket: String,
        /// The last key of the page before.
        after: Option<String>,
    },
}

/// The answer to a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The buckets.
    Buckets(Vec<BucketShown>),
    /// The value of the key, if it exists.
    Value(Option<Binary>),
    /// The command was done.
    Done,
    /// True if the key existed, or if keys are left.
    Existed(bool),
    /// A page of keys, and whether keys follow.
    Keys(Vec<String>, bool),
    /// A page of keys with values. An empty one is the last.
    Pairs(Vec<(String, Binary)>),
}

/// The numbers of a bucket, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketShown {
    /// The name of the bucket.
    pub name: String,
    /// The number of its keys.
    pub keys: u64,
    /// The bytes of its keys and values.
    pub bytes: u64,
}

/// Bytes, in JSON as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Binary(pub Vec<u8>);

impl TryFrom<String> for Binary {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Binary> for String {
    fn from(Binary(bytes): Binary) -> Self {
        STANDARD.encode(bytes)
    }
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The store refuses it, or fails.
    pub async fn run(self, store: &dyn Store) -> Result<Reply, Error> {
        Ok(match self {
            Self::Buckets => Reply::Buckets(buckets(store).await?),
            Self::Get { bucket, key } => {
                let entry = store
                    .get(&BucketName::new(&bucket)?, Key::new(key)?)
                    .await?;
                Reply::Value(entry.map(|entry| Binary(entry.value.to_vec())))
            }
            Self::Set { bucket, pairs } => {
                let pair = |(key, Binary(value))| Ok((Key::new(key)?, Value::new(value)?));
                let pairs: Vec<Pair> = pairs.into_iter().map(pair).collect::<Result<_, Error>>()?;
                let batch = Batch::of_pairs(pairs)?;
                store.set_many(&BucketName::new(&bucket)?, batch).await?;
                Reply::Done
            }
            Self::Delete { bucket, key } => {
                let existed = store.delete(&BucketName::new(&bucket)?, Key::new(key)?);
                Reply::Existed(existed.await?)
            }
            Self::Clear { bucket } => {
                let bucket = BucketName::new(&bucket)?;
                let page = store.list(&bucket, None).await?;
                store
                    .delete_many(&bucket, Batch::of_keys(page.keys)?)
                    .await?;
                Reply::Existed(page.more)
            }
            Self::Keys { bucket, after } => {
                let after = after.map(Key::new).transpose()?;
                let page = store.list(&BucketName::new(&bucket)?, after).await?;
                let keys = page.keys.into_iter().map(Key::into_string).collect();
                Reply::Keys(keys, page.more)
            }
            Self::Pairs { bucket, after } => {
                let after = after.map(Key::new).transpose()?;
                let pairs = store.pairs(&BucketName::new(&bucket)?, after).await?;
                let pair = |(key, value): Pair| (key.into_string(), Binary(value.to_vec()));
                Reply::Pairs(pairs.into_iter().map(pair).collect())
            }
        })
    }
}

/// Returns the numbers of all buckets.
///
/// # Errors
/// The store fails.
pub async fn buckets(store: &dyn Store) -> Result<Vec<BucketShown>, Error> {
    let sizes = store.buckets().await?;
    let shown = sizes.into_iter().map(|size| BucketShown {
        name: size.name.to_string(),
        keys: size.keys,
        bytes: size.bytes,
    });
    Ok(shown.collect())
}
