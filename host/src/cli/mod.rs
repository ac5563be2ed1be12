//! The command line: one file for each command.

mod build;
mod cargo;
mod client;
mod compile;
mod dev;
mod inspect;
mod install;
mod job;
mod log;
mod new;
mod report;
mod routes;
mod self_writes;
mod serve;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::config::{Flag, Sources};

/// A realtime backend in one binary: handlers compiled to WebAssembly answer over HTTP and socket.io, and are replaced
/// while they run.
#[derive(Parser)]
#[command(name = "hitchy", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server on a folder of handlers
    #[command(after_help = serve::EXAMPLES)]
    Serve(ServeArgs),
    /// Build the handlers below PATH, serve them, and build them again whenever a source is saved
    ///
    /// Every Cargo.toml below PATH whose library has crate-type cdylib becomes a handler; for what cargo does not
    /// build, [dev] build in hitchy.toml names a command. Sources are followed, those of local dependencies too; what
    /// .gitignore lists is not. A build that fails leaves the old code serving. Clients stay connected while code is
    /// replaced.
    #[command(after_help = dev::EXAMPLES)]
    Dev(DevArgs),
    /// Build the handlers below PATH once, as they are deployed
    ///
    /// Puts each .wasm into the handlers folder, by a rename and only when its content is new. The exit code is 1 when
    /// one cannot be built; the others are built all the same.
    #[command(after_help = build::EXAMPLES)]
    Build(BuildArgs),
    /// Write a handler to begin with
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArgs),
    /// Say what a .wasm offers and needs, and whether it would be served
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::InspectArgs),
    /// Print the table of routes as it would be served
    #[command(after_help = routes::EXAMPLES)]
    Routes(routes::RoutesArgs),
    /// Ask a running server, over a socket or over HTTP
    Request(client::RequestArgs),
    /// Emit an event to a running server
    Emit(client::EmitArgs),
    /// Print the events that a running server emits
    Listen(client::ListenArgs),
    #[command(name = crate::runtime::COMPILE_COMMAND, hide = true)]
    CompileComponent,
}

#[derive(Args)]
struct ServeArgs {
    /// Print the settings as they would be used, with where each came from, and exit
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Args)]
struct DevArgs {
    /// The folder to look for handlers in; also where hitchy.toml and the handlers folder are
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Args)]
struct BuildArgs {
    /// The folder to look for handlers in; also where hitchy.toml and the handlers folder are
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put the .wasm files into DIR [handlers.dir]
    #[arg(long, value_name = "DIR")]
    handlers: Option<String>,
}

#[derive(Args)]
struct SettingsArgs {
    /// Read the settings from FILE instead of hitchy.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen on ADDRESS, for example localhost:3000 or 0.0.0.0:80 [server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Serve the .wasm files of DIR [handlers.dir]
    #[arg(long, value_name = "DIR")]
    handlers: Option<String>,
    /// Log at LEVEL: error, warn, info, debug or trace [log.level]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

impl SettingsArgs {
    /// The sources of settings, from the least to the most important.
    fn sources(self, folder: Option<PathBuf>) -> Sources {
        let flags = [
            ("server.listen", self.listen, "--listen"),
            ("handlers.dir", self.handlers, "--handlers"),
            ("log.level", self.log, "--log"),
        ];
        let given = flags.into_iter().filter_map(|(key, value, flag)| {
            Some(Flag {
                key,
                value: value?,
                flag,
            })
        });
        Sources {
            file: self.config,
            folder,
            env: std::env::vars_os().collect(),
            flags: given.collect(),
        }
    }
}

/// The reason for which a command failed, as its exit code shows.
enum CommandError {
    /// Wrong usage or settings: 2.
    Usage(anyhow::Error),
    /// Anything else: 1.
    Failure(anyhow::Error),
    /// The command has printed what went wrong; the value is its exit code.
    Told(u8),
}

impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

impl From<crate::config::Error> for CommandError {
    fn from(error: crate::config::Error) -> Self {
        Self::Usage(error.into())
    }
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::main(args),
        Command::Dev(args) => dev::main(args),
        Command::Build(args) => build::main(args),
        Command::New(args) => new::main(args),
        Command::Inspect(args) => inspect::main(args),
        Command::Routes(args) => routes::main(args),
        Command::Request(args) => client::request(args),
        Command::Emit(args) => client::emit(args),
        Command::Listen(args) => client::listen(args),
        Command::CompileComponent => return compile::main(),
    };
    let (error, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Usage(error)) => (error, 2),
        Err(CommandError::Failure(error)) => (error, 1),
        Err(CommandError::Told(code)) => return ExitCode::from(code),
    };
    say_error(&error);
    ExitCode::from(code)
}

/// Runs what a command has to wait for, and nothing else.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime cannot be set up")?;
    runtime.block_on(work)
}

#[allow(clippy::print_stderr)]
fn say_error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Prints a line for the person at the terminal. Whoever closed the other end does not want it.
fn print(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
