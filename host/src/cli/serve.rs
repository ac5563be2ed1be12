//! `hitchy serve`: runs the server on a folder of handlers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CommandError, ServeArgs, log, say};
use crate::config::{Config, Listen, Sources};
use crate::registry::Table;
use crate::server::Server;
use crate::text::visible;

/// Runs `hitchy serve`.
pub(super) fn main(args: ServeArgs) -> Result<(), CommandError> {
    let sources = args.settings.sources(None);
    let config = Config::load(&sources)?;
    if args.print_config {
        say(config.render().trim_end());
        return Ok(());
    }
    log::start(&config.log);
    Ok(run(config, sources)?)
}

/// Serves until the process is told to stop.
pub(super) fn run(config: Config, sources: Sources) -> anyhow::Result<()> {
    check_folder(&config.handlers.dir)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime cannot be set up")?;
    runtime.block_on(serve(config, sources))
}

async fn serve(config: Config, sources: Sources) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals cannot be received")?;
    let listeners = listen(config.server.listen).await?;
    let dir = config.handlers.dir.clone();
    let mut server = Server::start(config, sources, listeners)?;
    say(format_args!("hitchy {}", env!("CARGO_PKG_VERSION")));
    for address in server.addresses() {
        say(format_args!("listening on http://{address}"));
    }
    tokio::select! {
        table = server.ready() => introduce(&table, &dir),
        () = signals.next() => {}
    }
    if !signals.came {
        tokio::select! {
            () = signals.next() => {}
            () = server.failed() => return Err(anyhow!("the handlers folder is no longer followed; the log says why. Start the server again")),
        }
    }
    say("shutting down");
    tokio::select! {
        () = server.shut_down() => Ok(()),
        () = signals.next() => Err(anyhow!("told to stop a second time: calls and connections were cut off")),
    }
}

/// What is served, for the person at the terminal.
fn introduce(table: &Table, dir: &Path) {
    let dir = dir.display();
    let refused = match table.refused {
        1 => "1 file was refused; the log says why".to_owned(),
        refused => format!("{refused} files were refused; the log says why"),
    };
    match (table.handlers.is_empty(), table.refused) {
        (true, 0) => say(format_args!("no handlers in {dir}; copy a .wasm there")),
        (true, _) => say(format_args!("no handlers from {dir}: {refused}")),
        (false, 0) => say(format_args!("handlers from {dir}")),
        (false, _) => say(format_args!("handlers from {dir}; {refused}")),
    }
    for handler in &table.handlers {
        say(format_args!(
            "  {}, generation {}",
            visible(&handler.name),
            handler.generation
        ));
        for line in handler.declarations.lines() {
            say(format_args!("    {line}"));
        }
    }
    say("the log is on standard error");
    say("ready");
}

fn check_folder(dir: &Path) -> anyhow::Result<()> {
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

/// Every connection needs a descriptor: takes as many as the system grants.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // With the limit as it was the server still works, for fewer clients.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Opens the listening sockets. Of the two loopbacks one is enough; both get the same port.
async fn listen(listen: Listen) -> anyhow::Result<Vec<TcpListener>> {
    let addresses = listen.addresses();
    let mut listeners: Vec<TcpListener> = Vec::new();
    for mut address in addresses.iter().copied() {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if addresses.len() > 1 && is_missing_protocol(&error) => {}
            Err(error) => return Err(cannot_listen(address, &error)),
        }
    }
    if listeners.is_empty() {
        return Err(anyhow!(
            "no loopback address can be listened on; choose an address with --listen"
        ));
    }
    Ok(listeners)
}

/// The machine speaks only the other version of IP.
fn is_missing_protocol(error: &std::io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let fix = match error.kind() {
        ErrorKind::AddrInUse => {
            "stop the program that uses it, or choose another address with --listen"
        }
        ErrorKind::PermissionDenied => {
            "choose a port above 1023 with --listen, or grant the right to use it"
        }
        _ => "choose another address with --listen",
    };
    anyhow!("cannot listen on {address}: {error}; {fix}")
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    came: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            came: false,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.came = true;
    }
}
