//! `hitchy serve`: runs the server on a folder of handlers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CommandError;
use super::executor::{self, Threads};
use super::log;
use super::output::print;
use super::settings::SettingsArgs;
use crate::config::{Config, Console, Listen, Source, Sources};
use crate::registry::{Registry, Table};
use crate::server::Server;
use crate::text::visible;

/// The examples at the end of `hitchy serve --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy serve
  hitchy serve --handlers build/handlers --listen 0.0.0.0:8080
  hitchy serve --print-config";

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Print the settings as they would be used, with where each came from, and exit
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The longest time that the process waits at its end for threads with blocking calls. Such a call may read a disk that
/// no longer answers.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Runs `hitchy serve` until a signal ends the process.
pub(super) fn main(args: ServeArgs) -> Result<(), CommandError> {
    let sources = args.settings.sources(None);
    let config = Config::load(&sources)?;
    if args.print_config {
        print(config.render().trim_end());
        return Ok(());
    }
    let _log = log::start(&config.log);
    check_folder(&config.handlers.dir)?;
    Ok(block_on(run(config, sources))?)
}

/// Serves without any work in the background.
async fn run(config: Config, sources: Sources) -> anyhow::Result<()> {
    let signals = Signals::new().context("signals cannot be received")?;
    let listening = Listening::open(&config).await?;
    let no_background = |_| std::future::pending();
    serve(config, sources, listening, signals, None, no_background).await
}

/// Runs a server's work to its end on a pool of threads, after raising the limit of file descriptors.
pub(super) fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let runtime = executor::runtime(Threads::Pool)?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    done
}

/// Serves until a signal asks the process to stop. The future that `background` makes runs until then and is cancelled;
/// `note` is the line that describes it to the person at the terminal.
///
/// # Errors
/// The server cannot start, the handlers folder can no longer be watched, the background work panicked, or a second
/// signal cut the shutdown short.
pub(super) async fn serve<W>(
    config: Config,
    sources: Sources,
    listening: Listening,
    mut signals: Signals,
    note: Option<String>,
    background: impl FnOnce(Arc<Registry>) -> W,
) -> anyhow::Result<()>
where
    W: Future<Output = ()> + Send + 'static,
{
    let dir = config.handlers.dir.clone();
    let mut server = Server::start(config, sources, listening.server, listening.console)?;
    print(format_args!("hitchy {}", env!("CARGO_PKG_VERSION")));
    for address in server.addresses() {
        print(format_args!("listening on http://{address}"));
    }
    for address in server.console_addresses() {
        print(format_args!("console on http://{address}"));
    }
    let mut running = tokio::spawn(background(server.registry()));
    let ready = server.ready();
    tokio::select! {
        table = ready => print_handlers(&server.registry(), &table, &dir, note.as_deref()),
        () = signals.next() => {}
        sentence = server.failed() => return Err(anyhow!(sentence)),
    }
    if !signals.received {
        tokio::select! {
            () = signals.next() => {}
            sentence = server.failed() => return Err(anyhow!(sentence)),
            // The background work never ends by itself, so this is a panic.
            _ = &mut running => return Err(anyhow!("saves are no longer followed; what is on standard error says why. Start hitchy dev again")),
        }
    }
    running.abort();
    print("shutting down");
    tokio::select! {
        () = server.shut_down() => Ok(()),
        () = signals.next() => Err(anyhow!("told to stop a second time: calls and connections were cut off")),
    }
}

/// Prints the handlers that are served and the number of refused files.
fn print_handlers(registry: &Registry, table: &Table, dir: &Path, note: Option<&str>) {
    let dir = dir.display();
    let count = registry.status().refused.len();
    let refused = match count {
        1 => "1 file was refused; the log says why".to_owned(),
        _ => format!("{count} files were refused; the log says why"),
    };
    match (table.handlers.is_empty(), count) {
        (true, 0) => print(format_args!(
            "no handlers in {dir}; copy a .wasm or a .js there"
        )),
        (true, _) => print(format_args!("no handlers from {dir}: {refused}")),
        (false, 0) => print(format_args!("handlers from {dir}")),
        (false, _) => print(format_args!("handlers from {dir}; {refused}")),
    }
    for handler in &table.handlers {
        print(format_args!(
            "  {}, generation {}",
            visible(&handler.name),
            handler.generation
        ));
        for line in handler.declarations.lines() {
            print(format_args!("    {line}"));
        }
    }
    if let Some(note) = note {
        print(note);
    }
    print("the log is on standard error");
    print("ready");
}

/// Checks that the handlers folder exists.
///
/// # Errors
/// There is no such folder, or it cannot be read.
pub(super) fn check_folder(dir: &Path) -> anyhow::Result<()> {
    match std::fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(anyhow!(
            "{} is not a folder; name the folder of handlers with --handlers",
            dir.display()
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(anyhow!(
            "the handlers folder {} does not exist; create it, or name another with --handlers",
            dir.display()
        )),
        Err(error) => Err(anyhow!(
            "the handlers folder {} cannot be read: {error}",
            dir.display()
        )),
    }
}

/// Raises the limit of file descriptors to the maximum that the system grants, because each connection needs one.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If this fails, the server works with the former limit, for fewer clients.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// The listening sockets of the server and of the console.
pub(super) struct Listening {
    server: Vec<TcpListener>,
    console: Vec<TcpListener>,
}

impl Listening {
    /// Opens listening sockets at the addresses of the settings.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            server: listen(config.server.listen, "--listen").await?,
            console: listen_for_console(config).await?,
        })
    }
}

/// Opens the console's listening sockets if the console is on. If its address is the default and cannot be opened, the
/// console is left out with a warning, because another server on the machine may use that address.
async fn listen_for_console(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    let Console::On(address) = config.admin.listen else {
        return Ok(Vec::new());
    };
    let opened = listen(address, "admin.listen").await;
    if opened.is_ok() || config.source("admin.listen") != Source::Default {
        return opened;
    }
    tracing::warn!(
        "the console cannot listen on {address}, perhaps since another server's does, and is left out; give it an address of its own with admin.listen (HITCHY_ADMIN__LISTEN), or \"off\""
    );
    Ok(Vec::new())
}

/// Opens the listening sockets of an address; errors name `setting` as the way to change it. The name `localhost` means
/// two loopback addresses: both get the same port, and a machine without one version of IP listens on the other.
async fn listen(listen: Listen, setting: &str) -> anyhow::Result<Vec<TcpListener>> {
    let addresses = listen.addresses();
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut address in addresses.iter().copied() {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if addresses.len() > 1 && is_missing_protocol(&error) => {}
            Err(error) => return Err(cannot_listen(address, &error, setting)),
        }
    }
    if listeners.is_empty() {
        return Err(anyhow!(
            "no loopback address can be listened on; choose an address with {setting}"
        ));
    }
    Ok(listeners)
}

/// Returns true if the machine does not support the address's version of IP.
fn is_missing_protocol(error: &std::io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

/// Returns the error of a failed bind, with advice by its cause.
fn cannot_listen(address: SocketAddr, error: &std::io::Error, setting: &str) -> anyhow::Error {
    let fix = match error.kind() {
        ErrorKind::AddrInUse => "stop the program that uses it, or choose another address with",
        ErrorKind::PermissionDenied => {
            "grant the right to use it, or choose a port above 1023 with"
        }
        _ => "choose another address with",
    };
    anyhow!("cannot listen on {address}: {error}; {fix} {setting}")
}

/// The signals that end the process: SIGTERM, SIGINT (Ctrl-C), and SIGHUP, which is sent when the terminal is closed.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None if the process ignores SIGHUP.
    hangup: Option<Signal>,
    /// True after the first signal.
    received: bool,
}

impl Signals {
    /// Registers handlers for the signals, and for the one of [`outlive_file_limit`]. It must be called on an async
    /// runtime.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(super) fn new() -> std::io::Result<Self> {
        outlive_file_limit()?;
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup.transpose()?,
            received: false,
        })
    }

    /// Waits for the next of the signals.
    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hangup => {}
        }
        self.received = true;
    }
}

/// Lets a write beyond the limit of a file's size (`ulimit -f`) fail, as a write to a full disk does. Without a handler
/// for SIGXFSZ the system ends the process, so that a guest could end it by storing much.
fn outlive_file_limit() -> std::io::Result<()> {
    let number = rustix::process::Signal::XFSZ.as_raw();
    // The handler stays when its stream is dropped (tokio 1.54).
    signal(SignalKind::from_raw(number)).map(drop)
}

/// Returns true if the process was started with SIGHUP ignored, as `nohup` does, so that it outlives the terminal.
/// Where the system has no `/proc`, true is assumed.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, the lowest bit of the mask.
    ignored.is_none_or(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_hangs_does_not_keep_the_process() {
        let (holding, held) = mpsc::channel::<()>();
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let work = async {
                drop(tokio::task::spawn_blocking(move || held.recv()));
                Ok(())
            };
            done.send(block_on(work).is_ok())
        });
        assert_eq!(ended.recv_timeout(SHUTDOWN_LIMIT * 10), Ok(true));
        drop(holding);
    }
}
