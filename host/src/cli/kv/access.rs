//! The way to a store: through the console of the server that uses it, or to its file if no server does.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;
use tokio::runtime::Runtime;
use ureq::Agent;

use crate::cli::error::CommandError;
use crate::cli::executor::{self, Threads};
use crate::config::{Config, Console};
use crate::kv::{Command, Embedded, MAX_COMMAND, OpenError, Reply, Store};
use crate::server::store_settings;

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The way to a store.
pub(super) enum Access {
    /// No server runs: the store is open here.
    File { store: Embedded, runtime: Runtime },
    /// A server uses the store, and its console is asked.
    Server {
        agent: Agent,
        addresses: Vec<SocketAddr>,
        /// The folder of the store, which the server compares with its own.
        folder: String,
    },
}

/// Returns the error of a reply of another kind than was asked for.
pub(super) fn unexpected() -> anyhow::Error {
    anyhow!("the server answered something else than was asked; it may be of another version")
}

impl Access {
    /// Finds the way. The lock of the folder says whether a server uses it.
    pub(super) fn open(config: &Config) -> Result<Self, CommandError> {
        let runtime = executor::runtime(Threads::Current)?;
        match Embedded::open(store_settings(&config.kv)) {
            Ok(store) => Ok(Self::File { store, runtime }),
            Err(OpenError::Locked { path, .. }) => {
                let Console::On(listen) = config.admin.listen else {
                    return Err(CommandError::Failure(anyhow!(
                        "a server uses {}, and its console, through which it is asked, is off (admin.listen)",
                        path.display()
                    )));
                };
                Ok(Self::Server {
                    agent: agent(),
                    addresses: listen.addresses(),
                    folder: config.kv.path.to_string_lossy().into_owned(),
                })
            }
            Err(error) => Err(CommandError::Failure(error.into())),
        }
    }

    /// Runs a command.
    pub(super) fn run(&self, command: Command) -> anyhow::Result<Reply> {
        match self {
            Self::File { store, runtime } => Ok(runtime.block_on(command.run(store))?),
            Self::Server {
                agent,
                addresses,
                folder,
            } => {
                let body = json!({ "folder": folder, "command": command }).to_string();
                let address = addresses.first().context("the console has no address")?;
                ask(agent, *address, &body)
            }
        }
    }

    /// Closes the store.
    pub(super) fn close(self) -> anyhow::Result<()> {
        if let Self::File { store, runtime } = self {
            runtime.block_on(store.close())?;
        }
        Ok(())
    }
}

/// Returns a client that uses no proxy, because the console is on this machine.
fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT))
        .proxy(None)
        .build()
        .into()
}

/// Sends a command to a console and returns its reply.
fn ask(agent: &Agent, address: SocketAddr, body: &str) -> anyhow::Result<Reply> {
    let url = format!("http://{address}/api/kv");
    let unreachable = || {
        format!(
            "a server uses the key-value storage, and its console does not answer at {address} (admin.listen)"
        )
    };
    let mut response = agent
        .post(&url)
        .content_type("application/json")
        .send(body)
        .with_context(unreachable)?;
    let text = response
        .body_mut()
        .with_config()
        .limit(MAX_COMMAND as u64)
        .read_to_string()
        .with_context(unreachable)?;
    if response.status() == 200 {
        return serde_json::from_str(&text).map_err(|_| unexpected());
    }
    let answer: serde_json::Value = serde_json::from_str(&text).map_err(|_| unexpected())?;
    Err(anyhow!("{}", answer["error"].as_str().unwrap_or(&text)))
}
