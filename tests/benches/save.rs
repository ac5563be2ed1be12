//! The time from the save of a handler's source to the new behaviour in the browser: twenty edits of the chat under
//! `hitchy dev`.
//!
//! Run the benchmark with `cargo bench --workspace --bench save`. The time is measured from the write of the file until
//! a page, which stays open for all edits, shows a message as the new code makes it. The page must never be
//! disconnected.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hitchy_tests::browser::Window;
use hitchy_tests::figures::{self, Durations, millis};
use hitchy_tests::guests::copy_example;
use hitchy_tests::lines::Lines;
use hitchy_tests::{Browser, Page, server, sources, target_dir};
use serde_json::json;

const EDITS: usize = 20;
/// The time limit of the first build, which compiles all dependencies.
const FIRST_BUILD: Duration = Duration::from_secs(900);
const EACH: Duration = Duration::from_secs(120);

/// The text that each edit replaces in the chat's `src/lib.rs`.
const LINE: &str = "\"text\": text,";

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let handler = copy_example("chat", folder.path());
    let client = sources().join("client/node_modules/socket.io-client/dist");
    std::fs::write(
        handler.join("hitchy.toml"),
        format!("[socket]\nclient = {client:?}\n"),
    )?;
    let browser = Browser::start().await;
    let (_dev, addr) = Dev::start(&handler).await?;
    let page = browser.open(&format!("http://{addr}"), Window::WIDE).await;
    page.fill("Your name", "Ada").await;
    page.press("Enter").await;
    page.sees("#state", "Connected").await;

    let mut times = Vec::new();
    for edit in 1..=EDITS {
        let time = save(&handler.join("src/lib.rs"), &page, edit).await?;
        println!("edit {edit:>2}: {}", millis(time));
        times.push(time);
    }
    let connections = page.connections().await;
    assert_eq!(
        connections.as_array().map(Vec::len),
        Some(1),
        "{connections}"
    );
    let times = Durations::of(times);
    println!(
        "of {EDITS}: median {}, maximum {}",
        millis(times.quantile(0.5)),
        millis(times.max())
    );
    Ok(())
}

/// Saves an edit. Returns the time until the page shows a message of the new version.
async fn save(library: &Path, page: &Page, edit: usize) -> Result<Duration> {
    let mark = format!("edit {edit}:");
    let original = std::fs::read_to_string(sources().join("../examples/chat/src/lib.rs"))?;
    let edited = original.replace(LINE, &format!("\"text\": format!(\"{mark} {{text}}\"),"));
    anyhow::ensure!(edited != original, "the chat has no line {LINE}");
    std::fs::write(library, edited)?;
    let saved = Instant::now();
    // The request bypasses the page, because the page would otherwise fill with messages.
    let ask =
        "new Promise(told => sockets[0].emit('message', 'general', 'x', 'x', it => told(it.text)))";
    while page.eval(ask).await != json!(format!("{mark} x")) {
        anyhow::ensure!(saved.elapsed() < EACH, "{mark} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    page.fill("Message", "now").await;
    page.press("Enter").await;
    page.sees(".message .text", &format!("{mark} now")).await;
    Ok(saved.elapsed())
}

/// A running `hitchy dev`, which is killed on drop.
struct Dev(Child);

impl Dev {
    async fn start(folder: &Path) -> Result<(Self, SocketAddr)> {
        let mut child = Command::new(server::binary())
            .arg("dev")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0"])
            // The dependencies are those of the tests' guests, which are compiled already.
            .env("CARGO_TARGET_DIR", target_dir().join("fixtures"))
            .env("HITCHY_ADMIN__LISTEN", "127.0.0.1:0")
            .env("HITCHY_CACHE__DIR", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("hitchy dev does not start")?;
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        let dev = Self(child);
        let listening = |_, line: &str| {
            line.strip_prefix("listening on http://")?
                .trim()
                .parse()
                .ok()
        };
        let addr = lines.wait("hitchy dev listens", 0, FIRST_BUILD, listening);
        let addr = addr.await;
        let ready = |_, line: &str| line.contains("ready").then_some(());
        lines
            .wait("hitchy dev is ready", 0, FIRST_BUILD, ready)
            .await;
        Ok((dev, addr))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
