//! The flags that all commands of the client have, and the values of flags and arguments.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::address::Address;
use super::connection::Target;
use super::header::Header;
use crate::cli::error::CommandError;
use crate::cli::output::{Output, json};
use crate::config::CLIENT_VARIABLE;

/// The flags that name a server and say how to talk to it.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// The server
    #[arg(
        long,
        value_name = "URL",
        env = CLIENT_VARIABLE,
        hide_env_values = true,
        default_value = "http://localhost:3000"
    )]
    pub(super) url: Address,
    /// Where on the server socket.io is
    #[arg(long = "path", value_name = "PATH", default_value = "/socket.io", value_parser = path)]
    socket_path: String,
    /// How long to wait for the connection, and then for the answer
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    /// What to send with CONNECT, for connection hooks: a JSON object
    #[arg(long, value_name = "JSON", value_parser = auth)]
    auth: Option<String>,
    /// How to print what comes
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

impl ServerArgs {
    /// Returns the target of a connection to a namespace of the server.
    pub(super) fn target(&self, namespace: &str, headers: &[Header]) -> Target {
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
pub(super) fn namespace(text: &str) -> Result<String, String> {
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
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, CommandError> {
    let read = match path {
        "-" => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
        }
        path => std::fs::read(path),
    };
    read.map_err(|error| CommandError::Usage(anyhow!("{path} cannot be read: {error}")))
}
