//! The client for the terminal: `hitchy request`, `hitchy emit` and `hitchy listen`.
//!
//! It speaks the protocol of socket.io's clients in browsers, over a websocket. `packet` is the wire format, `connection`
//! is one connection to one namespace, and `http_door` sends requests over HTTP instead.

mod address;
mod answer;
mod body;
mod connection;
mod emit;
mod error;
mod header;
mod http_door;
mod listen;
mod packet;
mod request;

pub(super) use self::emit::EmitArgs;
pub(super) use self::listen::ListenArgs;
pub(super) use self::request::RequestArgs;

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use self::address::Address;
use self::connection::Target;
use self::header::Header;
use super::CommandError;
use super::executor::{self, Threads};
use super::output::terminal::OutputError;
use super::output::{Output, json};
use crate::config::CLIENT_VARIABLE;

/// The flags that name a server and say how to talk to it.
#[derive(Args)]
struct ServerArgs {
    /// The server
    #[arg(
        long,
        value_name = "URL",
        env = CLIENT_VARIABLE,
        hide_env_values = true,
        default_value = "http://localhost:3000"
    )]
    url: Address,
    /// Where on the server socket.io is
    #[arg(long = "path", value_name = "PATH", default_value = "/socket.io", value_parser = path)]
    socket_path: String,
    /// How long to wait for the connection, and then for the answer
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// What to send with CONNECT, for connection hooks: a JSON object
    #[arg(long, value_name = "JSON", value_parser = auth)]
    auth: Option<String>,
    /// How to print what comes
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl ServerArgs {
    /// Returns the target of a connection to a namespace of the server.
    fn target(&self, namespace: &str, headers: &[Header]) -> Target {
        Target {
            address: self.url.clone(),
            path: self.socket_path.clone(),
            namespace: namespace.to_owned(),
            auth: self.auth.clone(),
            headers: headers.to_vec(),
            timeout: self.timeout,
        }
    }
}

/// Runs `hitchy request` to its end.
pub(super) fn request(args: RequestArgs) -> Result<(), CommandError> {
    ignore_closed_output(request::run(args))
}

/// Runs `hitchy emit` to its end.
pub(super) fn emit(args: EmitArgs) -> Result<(), CommandError> {
    ignore_closed_output(emit::run(args))
}

/// Runs `hitchy listen` to its end.
pub(super) fn listen(args: ListenArgs) -> Result<(), CommandError> {
    ignore_closed_output(listen::run(args))
}

/// Turns the error of a closed standard output into success, because its reader (`head`, for example) has read enough.
fn ignore_closed_output(result: Result<(), CommandError>) -> Result<(), CommandError> {
    match result {
        Err(CommandError::Failure(error))
            if error.downcast_ref().is_some_and(OutputError::is_closed) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Runs a conversation with a server on this thread.
fn converse<T>(
    conversation: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = executor::runtime(Threads::Current)?;
    let done = runtime.block_on(conversation);
    // The lookup of a name is a blocking call that may still run. It is not waited for.
    runtime.shutdown_background();
    done
}

/// Returns the failure for an answer with an error status. The exit code is 4 for a fault of the client and 5 for one
/// of the server, as in HTTPie.
fn outcome(code: u64) -> Result<(), CommandError> {
    match code {
        400..500 => Err(CommandError::Reported(4)),
        500..600 => Err(CommandError::Reported(5)),
        _ => Ok(()),
    }
}

/// Checks a path of socket.io, and removes slashes at its end.
fn path(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    if trimmed.starts_with('/') && trimmed.chars().all(plain) {
        Ok(trimmed.to_owned())
    } else {
        Err("it is no path like /socket.io".to_owned())
    }
}

/// Checks the data for CONNECT.
fn auth(text: &str) -> Result<String, String> {
    let json = json::checked(text)?;
    if json.starts_with('{') {
        Ok(json)
    } else {
        Err("it is no JSON object like {\"token\":\"…\"}".to_owned())
    }
}

/// Checks the name of a namespace, and adds the slash if it was left out.
fn namespace(text: &str) -> Result<String, String> {
    if text.contains([',', '?', '#']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a namespace is a path like /chat".to_owned());
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{text}"))
}

/// Reads the bytes of a file; `-` stands for standard input.
///
/// # Errors
/// The file cannot be read.
fn read_file(path: &str) -> Result<Vec<u8>, CommandError> {
    let read = match path {
        "-" => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
        }
        path => std::fs::read(path),
    };
    read.map_err(|error| CommandError::Usage(anyhow!("{path} cannot be read: {error}")))
}
