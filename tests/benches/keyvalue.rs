//! Key-value storage in process: durable increments of one and of many callers, each beside the same with a sync of its
//! own, reads and writes, and a bucket of a million keys.
//!
//! Run the benchmark with `cargo bench --workspace --bench keyvalue`. The folder is made where the system keeps
//! temporary files, which must be a real disk for the figures to mean anything.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use hitchy::kv::{Batch, BucketName, Delta, Embedded, Key, Store, StoreSettings, Value};
use hitchy_tests::figures::{self, Durations, millis};
use tokio::sync::Mutex;

const TIME: Duration = Duration::from_secs(5);
const KEYS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn Store> = Arc::new(open(folder.path())?);
    for callers in [1, 64] {
        let shared = increments(&store, callers, false).await;
        let alone = increments(&store, callers, true).await;
        println!("{callers:>3} callers: {shared:>8.0} increments/s, {alone:>6.0} with a sync each");
    }
    single(&store).await?;
    fill(&store).await?;
    store.close().await?;
    drop(store);
    large(folder.path()).await
}

fn open(folder: &Path) -> Result<Embedded> {
    Ok(Embedded::open(StoreSettings {
        folder: folder.to_owned(),
        max_keys: 2 * KEYS,
        max_bytes: 1 << 40,
        min_free: 0,
        cache: 64 << 20,
    })?)
}

fn bucket() -> BucketName {
    BucketName::new("bench").expect("a name")
}

fn key(index: u64) -> Key {
    Key::new(format!("key-{index:08}")).expect("a key")
}

/// Returns the increments per second of callers that wait for each of theirs. `alone` lets one of them in at a time, so
/// that each has a commit of its own.
async fn increments(store: &Arc<dyn Store>, callers: u64, alone: bool) -> f64 {
    let (end, gate) = (Instant::now() + TIME, Arc::new(Mutex::new(())));
    let callers = (0..callers).map(|caller| {
        let (store, gate) = (Arc::clone(store), Arc::clone(&gate));
        tokio::spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < end {
                let held = if alone { Some(gate.lock().await) } else { None };
                let sum = store.increment(&bucket(), key(caller), Delta::Signed(1));
                sum.await.expect("a sum");
                drop(held);
                done += 1;
            }
            done
        })
    });
    let done: u64 = join_all(callers).await.into_iter().flatten().sum();
    done as f64 / TIME.as_secs_f64()
}

async fn single(store: &Arc<dyn Store>) -> Result<()> {
    let (mut sets, mut gets) = (Vec::new(), Vec::new());
    for index in 0..1000 {
        let start = Instant::now();
        store
            .set(&bucket(), key(index), Value::new(vec![7; 100])?)
            .await?;
        sets.push(start.elapsed());
    }
    for index in 0..100_000 {
        let start = Instant::now();
        store.get(&bucket(), key(index % 1000)).await?;
        gets.push(start.elapsed());
    }
    for (what, times) in [("set", Durations::of(sets)), ("get", Durations::of(gets))] {
        let (median, late) = (times.quantile(0.5), times.quantile(0.99));
        println!("{what}: median {median:?}, 99 % {late:?}");
    }
    Ok(())
}

async fn fill(store: &Arc<dyn Store>) -> Result<()> {
    let start = Instant::now();
    for block in 0..KEYS / 1000 {
        let pair = |index| Ok((key(block * 1000 + index), Value::new(vec![7; 100])?));
        let pairs: Result<Vec<_>> = (0..1000).map(pair).collect();
        store.set_many(&bucket(), Batch::of_pairs(pairs?)?).await?;
    }
    println!(
        "{KEYS} keys in batches of 1000: {}",
        millis(start.elapsed())
    );
    Ok(())
}

/// Opens the store with its million keys, lists them, and says how much memory and disk that takes.
async fn large(folder: &Path) -> Result<()> {
    let before = resident();
    let start = Instant::now();
    let store = open(folder)?;
    println!("start: {}", millis(start.elapsed()));
    println!(
        "memory after the start: {} MiB more",
        resident().saturating_sub(before) >> 20
    );
    let (start, mut listed, mut after) = (Instant::now(), 0, None);
    loop {
        let page = store.list(&bucket(), after).await?;
        listed += page.keys.len();
        after = page.keys.last().cloned();
        if !page.more {
            break;
        }
    }
    println!("list of {listed} keys: {}", millis(start.elapsed()));
    println!(
        "memory after the list: {} MiB more",
        resident().saturating_sub(before) >> 20
    );
    let size = std::fs::metadata(folder.join(hitchy::kv::FILE))?.len();
    println!("file: {} MiB", size >> 20);
    store.close().await?;
    Ok(())
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
