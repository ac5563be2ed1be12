//! The time from the save of a handler's source to the new behaviour in the browser: twenty edits of the chat under
//! `hitchy dev`, in Rust and in JavaScript.
//!
//! Run the benchmark with `cargo bench --workspace --bench save`. The time is measured from the write of the file, in
//! place, until the new code answers a page that stays open for all edits, and until this page shows a message as the
//! new code makes it. The page must never be disconnected.
#![allow(clippy::print_stdout, reason = "it prints a table")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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

/// A chat whose source is edited.
struct Chat {
    language: &'static str,
    /// The source, below the folder of the examples.
    source: &'static str,
    /// What each edit replaces, and by what; `MARK` stands for the text of the edit.
    line: (&'static str, &'static str),
}

const RUST: Chat = Chat {
    language: "Rust",
    source: "chat/src/lib.rs",
    line: ("\"text\": text,", "\"text\": format!(\"MARK {text}\"),"),
};
const JAVASCRIPT: Chat = Chat {
    language: "JavaScript",
    source: "chat-js/handlers/chat.js",
    line: ("text: trimmed(text, 500),", "text: `MARK ${text}`,"),
};

#[tokio::main]
async fn main() -> Result<()> {
    if !figures::are_wanted() {
        return Ok(());
    }
    let browser = Browser::start().await;
    let folder = tempfile::tempdir()?;
    measure(&browser, &JAVASCRIPT, &copy_of_script(folder.path())?).await?;
    let folder = tempfile::tempdir()?;
    measure(&browser, &RUST, &copy_example("chat", folder.path())).await
}

/// Copies the chat in JavaScript with its page, and returns the folder to serve.
fn copy_of_script(to: &Path) -> Result<PathBuf> {
    let examples = sources().join("../examples");
    let copied = Command::new("cp")
        .arg("-r")
        .args([
            examples.join("chat-js/handlers"),
            examples.join("chat/public"),
        ])
        .arg(to)
        .status()?;
    anyhow::ensure!(copied.success(), "the chat cannot be copied");
    Ok(to.to_owned())
}

/// Measures all edits of a chat in a folder.
async fn measure(browser: &Browser, chat: &Chat, folder: &Path) -> Result<()> {
    let client = sources().join("client/node_modules/socket.io-client/dist");
    std::fs::write(
        folder.join("hitchy.toml"),
        format!("[socket]\nclient = {client:?}\n"),
    )?;
    let (_dev, addr) = Dev::start(folder).await?;
    let page = browser.open(&format!("http://{addr}"), Window::WIDE).await;
    page.fill("Your name", "Ada").await;
    page.press("Enter").await;
    page.sees("#state", "Connected").await;

    let (_, file) = chat.source.split_once('/').context("a folder and a file")?;
    let (mut answered, mut shown) = (Vec::new(), Vec::new());
    for edit in 1..=EDITS {
        let times = save(chat, &folder.join(file), &page, edit).await?;
        answered.push(times.0);
        shown.push(times.1);
    }
    let connections = page.connections().await;
    assert_eq!(
        connections.as_array().map(Vec::len),
        Some(1),
        "{connections}"
    );
    for (what, times) in [("answered", answered), ("shown", shown)] {
        let times = Durations::of(times);
        println!(
            "{}, {what}: of {EDITS} edits median {}, maximum {}",
            chat.language,
            millis(times.quantile(0.5)),
            millis(times.max())
        );
    }
    Ok(())
}

/// Saves an edit. Returns the times until the new version answers the page, and until the page shows a message of it.
async fn save(
    chat: &Chat,
    source: &Path,
    page: &Page,
    edit: usize,
) -> Result<(Duration, Duration)> {
    let mark = format!("edit {edit}:");
    let original = std::fs::read_to_string(sources().join("../examples").join(chat.source))?;
    let (line, edited) = chat.line;
    let text = original.replace(line, &edited.replace("MARK", &mark));
    anyhow::ensure!(text != original, "the chat has no line {line}");
    std::fs::write(source, text)?;
    let saved = Instant::now();
    // The request bypasses the page, because the page would otherwise fill with messages.
    let ask =
        "new Promise(told => sockets[0].emit('message', 'general', 'x', 'x', it => told(it.text)))";
    while page.eval(ask).await != json!(format!("{mark} x")) {
        anyhow::ensure!(saved.elapsed() < EACH, "{mark} does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answered = saved.elapsed();
    page.fill("Message", "now").await;
    page.press("Enter").await;
    page.sees(".message .text", &format!("{mark} now")).await;
    Ok((answered, saved.elapsed()))
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
