//! `hitchy kv`: key-value storage for the operator.

mod access;
mod lines;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use self::access::Access;
use self::lines::Line;
use super::error::CommandError;
use super::output::terminal::{line, write};
use super::output::{print, print_columns};
use crate::config::{Config, Sources};
use crate::kv::{
    Binary, BucketName, Command, Key, MAX_BATCH, MAX_BATCH_BYTES, MAX_VALUE, Reply, Value,
};
use crate::text::visible;

/// The examples at the end of `hitchy kv --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy kv list
  hitchy kv set shop price 12
  hitchy kv get shop price
  hitchy kv export > all.jsonl
  hitchy kv import all.jsonl

Exit codes: 0 it was done, 1 the key does not exist or it failed, 2 a setting or an argument is wrong";

#[derive(Args)]
pub(super) struct KvArgs {
    #[command(subcommand)]
    action: Action,
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Print the value of a key, as it is
    Get {
        /// The bucket: the path of a handler's file without .wasm, or what its settings say
        bucket: String,
        /// The key
        key: String,
    },
    /// Set a key
    Set {
        /// The bucket
        bucket: String,
        /// The key
        key: String,
        /// The value; without it, standard input is read to its end
        value: Option<String>,
    },
    /// Delete a key, or a bucket with all its keys
    Delete {
        /// The bucket
        bucket: String,
        /// The key
        #[arg(required_unless_present = "all")]
        key: Option<String>,
        /// Delete all keys
        #[arg(long, conflicts_with = "key")]
        all: bool,
    },
    /// List the buckets with their keys and bytes, or the keys of a bucket
    List {
        /// The bucket
        bucket: Option<String>,
    },
    /// Print all keys with their values, one JSON object a line
    Export {
        /// The buckets; all if none is named
        buckets: Vec<String>,
    },
    /// Set the keys of an export
    Import {
        /// The file; without it, standard input is read
        file: Option<PathBuf>,
    },
}

/// Runs `hitchy kv`.
pub(super) fn main(args: KvArgs) -> Result<(), CommandError> {
    let sources = Sources {
        file: args.config,
        env: std::env::vars_os().collect(),
        ..Sources::default()
    };
    let config = Config::load(&sources)?;
    let access = Access::open(&config)?;
    let done = run(&access, args.action);
    access.close()?;
    done
}

fn run(access: &Access, action: Action) -> Result<(), CommandError> {
    match action {
        Action::Get { bucket, key } => get(access, bucket, key),
        Action::Set { bucket, key, value } => set(access, bucket, key, value),
        Action::Delete {
            bucket,
            key: Some(key),
            ..
        } => match access.run(Command::Delete { bucket, key })? {
            Reply::Existed(false) => Err(absent()),
            _ => Ok(()),
        },
        Action::Delete { bucket, .. } => clear(access, bucket),
        Action::List { bucket: None } => list_buckets(access),
        Action::List { bucket: Some(name) } => list_keys(access, name),
        Action::Export { buckets } => export(access, buckets),
        Action::Import { file } => import(access, file),
    }
}

fn absent() -> CommandError {
    CommandError::Failure(anyhow!("the bucket has no such key"))
}

/// Deletes all keys of a bucket.
fn clear(access: &Access, bucket: String) -> Result<(), CommandError> {
    loop {
        let bucket = bucket.clone();
        if let Reply::Existed(false) = access.run(Command::Clear { bucket })? {
            return Ok(());
        }
    }
}

fn get(access: &Access, bucket: String, key: String) -> Result<(), CommandError> {
    match access.run(Command::Get { bucket, key })? {
        Reply::Value(Some(Binary(value))) => Ok(write(&value).map_err(anyhow::Error::from)?),
        _ => Err(absent()),
    }
}

fn set(
    access: &Access,
    bucket: String,
    key: String,
    value: Option<String>,
) -> Result<(), CommandError> {
    let value = match value {
        Some(value) => value.into_bytes(),
        None => {
            let mut bytes = Vec::new();
            // One byte more than fits, so that the store refuses what does not.
            let mut input = stdin().take(MAX_VALUE as u64 + 1);
            input
                .read_to_end(&mut bytes)
                .context("standard input cannot be read")?;
            bytes
        }
    };
    access.run(Command::Set {
        bucket,
        pairs: vec![(key, Binary(value))],
    })?;
    Ok(())
}

/// Returns the names of all buckets with their numbers.
fn buckets(access: &Access) -> anyhow::Result<Vec<crate::kv::BucketShown>> {
    match access.run(Command::Buckets)? {
        Reply::Buckets(buckets) => Ok(buckets),
        _ => Err(access::unexpected()),
    }
}

fn list_buckets(access: &Access) -> Result<(), CommandError> {
    let buckets = buckets(access)?;
    if buckets.is_empty() {
        print("nothing is stored");
        return Ok(());
    }
    let head = ["BUCKET", "KEYS", "BYTES"].map(str::to_owned).to_vec();
    let row = |bucket: &crate::kv::BucketShown| {
        vec![
            bucket.name.clone(),
            bucket.keys.to_string(),
            bucket.bytes.to_string(),
        ]
    };
    let rows: Vec<_> = [head].into_iter().chain(buckets.iter().map(row)).collect();
    print_columns(&rows, 0);
    Ok(())
}

fn list_keys(access: &Access, bucket: String) -> Result<(), CommandError> {
    let mut after = None;
    loop {
        let command = Command::Keys {
            bucket: bucket.clone(),
            after,
        };
        let Reply::Keys(keys, more) = access.run(command)? else {
            return Err(access::unexpected().into());
        };
        for key in &keys {
            line(&visible(key)).map_err(anyhow::Error::from)?;
        }
        if !more {
            return Ok(());
        }
        after = keys.last().cloned();
    }
}

fn export(access: &Access, named: Vec<String>) -> Result<(), CommandError> {
    let all = || anyhow::Ok(buckets(access)?.into_iter().map(|bucket| bucket.name));
    let names: Vec<String> = if named.is_empty() {
        all()?.collect()
    } else {
        named
    };
    for bucket in names {
        let mut after = None;
        loop {
            let command = Command::Pairs {
                bucket: bucket.clone(),
                after,
            };
            let Reply::Pairs(pairs) = access.run(command)? else {
                return Err(access::unexpected().into());
            };
            let Some((last, _)) = pairs.last() else { break };
            after = Some(last.clone());
            let lines = pairs
                .into_iter()
                .map(|(key, Binary(value))| Line::new(&bucket, key, value).text());
            let text: String = lines.collect();
            write(text.as_bytes()).map_err(anyhow::Error::from)?;
        }
    }
    Ok(())
}

/// Sets the keys of an export, in batches of one bucket. All lines before a wrong one may have been set.
fn import(access: &Access, file: Option<PathBuf>) -> Result<(), CommandError> {
    let (name, input): (String, Box<dyn BufRead>) = match file {
        None => ("standard input".to_owned(), Box::new(stdin().lock())),
        Some(path) => {
            let name = path.display().to_string();
            let opened = File::open(&path).map_err(|error| {
                CommandError::Usage(anyhow!("{name}: {error}; name a file of hitchy kv export"))
            })?;
            (name, Box::new(BufReader::new(opened)))
        }
    };
    let mut batch = ImportBatch {
        name,
        ..ImportBatch::default()
    };
    let mut count = 0;
    for (index, text) in input.lines().enumerate() {
        let number = index + 1;
        let place = || format!("{}, line {number}", batch.name);
        let text = text.with_context(place)?;
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&text)
            .map_err(anyhow::Error::from)
            .with_context(place)?;
        let (bucket, key, value) = line.parts().with_context(place)?;
        check(&bucket, &key, &value).with_context(place)?;
        batch.add(access, number, bucket, (key, value))?;
        count += 1;
    }
    batch.send(access)?;
    print(format_args!("{count} keys were set"));
    Ok(())
}

/// Checks what the store would refuse, so that the error names the line and not its batch.
fn check(bucket: &str, key: &str, value: &[u8]) -> Result<(), crate::kv::Error> {
    BucketName::new(bucket)?;
    Key::new(key.to_owned())?;
    Value::new(value.to_vec())?;
    Ok(())
}

/// Keys of one bucket that are set together.
#[derive(Default)]
struct ImportBatch {
    /// The name of the input, for errors.
    name: String,
    /// The numbers of the first and the last line of the batch.
    lines: (usize, usize),
    bucket: String,
    pairs: Vec<(String, Binary)>,
    size: usize,
}

impl ImportBatch {
    fn add(
        &mut self,
        access: &Access,
        number: usize,
        bucket: String,
        (key, value): (String, Vec<u8>),
    ) -> anyhow::Result<()> {
        let size = key.len() + value.len();
        let is_full = self.pairs.len() == MAX_BATCH || self.size + size > MAX_BATCH_BYTES;
        if is_full || bucket != self.bucket {
            self.send(access)?;
            self.bucket = bucket;
        }
        if self.pairs.is_empty() {
            self.lines.0 = number;
        }
        self.lines.1 = number;
        self.size += size;
        self.pairs.push((key, Binary(value)));
        Ok(())
    }

    fn send(&mut self, access: &Access) -> anyhow::Result<()> {
        self.size = 0;
        let pairs = std::mem::take(&mut self.pairs);
        if pairs.is_empty() {
            return Ok(());
        }
        let bucket = self.bucket.clone();
        let (first, last) = self.lines;
        let set = access.run(Command::Set { bucket, pairs });
        set.with_context(|| format!("{}, lines {first} to {last}", self.name))?;
        Ok(())
    }
}
