//! The client for the terminal: `hitchy request`, `hitchy emit` and `hitchy listen`.
//!
//! It speaks what browsers' socket.io clients speak, over a websocket: `packet` is the wire format, `connection` one
//! connection to one namespace, `http_door` the other door of `request`. `json` and `screen` are how values come to
//! standard output.

mod address;
mod answer;
mod body;
mod connection;
mod emit;
mod error;
mod header;
mod http_door;
pub(super) mod json;
mod listen;
mod packet;
mod request;
mod screen;

pub(super) use self::emit::EmitArgs;
pub(super) use self::listen::ListenArgs;
pub(super) use self::request::RequestArgs;

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use self::address::Address;
use self::connection::Target;
use self::header::Header;
use self::screen::Unwritten;
use super::CommandError;
use super::report::Output;
use crate::config::CLIENT_VARIABLE;

/// Which server, and how to talk to it.
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

/// Runs `hitchy request`.
pub(super) fn request(args: RequestArgs) -> Result<(), CommandError> {
    quietly(request::run(args))
}

/// Runs `hitchy emit`.
pub(super) fn emit(args: EmitArgs) -> Result<(), CommandError> {
    quietly(emit::run(args))
}

/// Runs `hitchy listen`.
pub(super) fn listen(args: ListenArgs) -> Result<(), CommandError> {
    quietly(listen::run(args))
}

/// Whoever reads the output may close it when there was enough of it: that is no failure.
fn quietly(done: Result<(), CommandError>) -> Result<(), CommandError> {
    match done {
        Err(CommandError::Failure(error))
            if error.downcast_ref().is_some_and(Unwritten::is_closed) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Runs the conversation with the server on this thread.
fn converse<T>(
    conversation: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime cannot be set up")?;
    let done = runtime.block_on(conversation);
    // Looking up a name may still be under way: nobody waits for it.
    runtime.shutdown_background();
    done
}

/// An answer that says no: 4 when the fault is the client's, 5 when it is the server's, as HTTPie does it.
fn outcome(code: u64) -> Result<(), CommandError> {
    match code {
        400..500 => Err(CommandError::Told(4)),
        500..600 => Err(CommandError::Told(5)),
        _ => Ok(()),
    }
}

fn path(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    if trimmed.starts_with('/') && trimmed.chars().all(plain) {
        Ok(trimmed.to_owned())
    } else {
        Err("it is no path like /socket.io".to_owned())
    }
}

fn auth(text: &str) -> Result<String, String> {
    let json = json::checked(text)?;
    if json.starts_with('{') {
        Ok(json)
    } else {
        Err("it is no JSON object like {\"token\":\"…\"}".to_owned())
    }
}

/// A namespace's name, with the slash that may be left out.
fn namespace(text: &str) -> Result<String, String> {
    if text.contains([',', '?', '#']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a namespace is a path like /chat".to_owned());
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{text}"))
}

/// The bytes of a file; `-` is standard input.
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
