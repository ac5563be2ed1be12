//! The command line. Each command has a file or a folder of its own.

mod bindings;
mod build;
mod builder;
mod bundler;
mod cargo;
mod client;
mod command_output;
mod compile;
mod dev;
mod error;
mod executor;
mod group_guard;
mod hidden_sources;
mod inputs;
mod inspect;
mod install;
mod job;
mod kv;
mod log;
mod new;
mod output;
mod processes;
mod routes;
mod self_writes;
mod serve;
mod settings;
mod shell;
mod sources;
mod toolchains;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::CommandError;
use self::output::print_error;

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
    Serve(serve::ServeArgs),
    /// Build the handlers below PATH, serve them, and build them again whenever a source is saved
    ///
    /// Every Cargo.toml below PATH whose library has crate-type cdylib becomes a handler; for what cargo does not
    /// build, [dev] build in hitchy.toml names a command. Everything that a build reads is followed; what .gitignore
    /// lists is not searched for handlers. A build that fails leaves the old code serving. Clients stay connected while
    /// code is replaced. Scripts need no build; those that import packages of npm are bundled with them, by the esbuild of
    /// their project.
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::DevArgs),
    /// Build the handlers below PATH once, as they are deployed
    ///
    /// Puts each .wasm into the handlers folder, by a rename and only when its content is new. Scripts that import packages
    /// of npm are bundled with them, by the esbuild of their project. The exit code is 1 when one cannot be built; the
    /// others are built all the same.
    #[command(after_help = build::EXAMPLES)]
    Build(build::BuildArgs),
    /// Write a handler to begin with
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArgs),
    /// Write the contract as C, Go or WIT, for handlers in languages without an SDK
    #[command(after_help = bindings::EXAMPLES)]
    Bindings(bindings::BindingsArgs),
    /// Say what the file of a handler offers and needs, and whether it would be served
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
    /// Read and write key-value storage: of a running server, or of the settings' folder if none runs
    ///
    /// Values may be any bytes. An export has one JSON object a line; importing it again changes nothing.
    #[command(after_help = kv::EXAMPLES)]
    Kv(kv::KvArgs),
    #[command(name = crate::runtime::COMPILE_COMMAND, hide = true)]
    CompileComponent,
    #[command(name = group_guard::COMMAND, hide = true)]
    GuardProcessGroup,
}

/// Parses the command line and runs the command. Prints its error and returns its exit code.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::main(args),
        Command::Dev(args) => dev::main(args),
        Command::Build(args) => build::main(args),
        Command::New(args) => new::main(args),
        Command::Bindings(args) => bindings::main(&args),
        Command::Inspect(args) => inspect::main(args),
        Command::Routes(args) => routes::main(args),
        Command::Request(args) => client::request(args),
        Command::Emit(args) => client::emit(args),
        Command::Listen(args) => client::listen(args),
        Command::Kv(args) => kv::main(args),
        Command::CompileComponent => return compile::main(),
        Command::GuardProcessGroup => return group_guard::main(),
    };
    let (error, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Usage(error)) => (error, 2),
        Err(CommandError::Failure(error)) => (error, 1),
        Err(CommandError::Reported(code)) => return ExitCode::from(code),
    };
    print_error(&error);
    ExitCode::from(code)
}
