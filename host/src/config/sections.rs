//! The resolved settings of the node: a struct for each section, and a field for each row of the table of keys.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::types::{Console, Format, Level, Listen, Network, Origins, SetCookie, Transport};

/// `[server]`: the HTTP side.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Server {
    /// The address on which the server listens.
    pub listen: Listen,
    /// The folder whose files are served below the routes, absolute.
    pub public: PathBuf,
    /// Largest body of a request, in bytes: HTTP, polling and websocket alike.
    pub body_limit: usize,
    /// Largest body of an answer of a handler, in bytes.
    pub answer_limit: usize,
    /// Connections open at once; `None`: 20,000, or 80 % of the descriptor limit when that is less.
    pub max_connections: Option<usize>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Origins whose pages may call over HTTP; `Own` means that CORS is off.
    pub cors: Origins,
    /// Origins whose pages may connect a socket besides the server's own.
    pub origins: Origins,
    /// The time that calls may go on after the server was told to stop.
    pub grace: Duration,
    /// Time for a client to send the head of a request.
    pub header_timeout: Duration,
    /// Time for a client to send the whole body of a request.
    pub body_timeout: Duration,
    /// Longest pause of a client within a body.
    pub body_idle: Duration,
    /// The longest time that a client may read nothing of what it is sent.
    pub write_stall: Duration,
}

impl Server {
    /// Returns true if the forwarding headers of a connection from `peer` are trusted.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|proxies| proxies.contains(peer))
    }
}

/// `[socket]`: engine.io and socket.io.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Socket {
    /// Path of the endpoint: begins with `/`, does not end with it.
    pub path: String,
    /// The folder with the files of the official client, absolute.
    pub client: PathBuf,
    /// Time between two pings.
    pub ping_interval: Duration,
    /// Time for a client to answer a ping.
    pub ping_timeout: Duration,
    /// Time for a client to connect to a namespace.
    pub connect_timeout: Duration,
    /// Ways a socket may be connected, at least one.
    pub transports: Vec<Transport>,
    /// Packets that may wait for one client.
    pub send_buffer: usize,
    /// Bytes that may wait for one client.
    pub send_bytes: usize,
    /// Clients connected at once.
    pub max_sockets: usize,
    /// Clients at once that have not connected to a namespace.
    pub max_unclaimed: usize,
    /// True if a polling session answers only the address that opened it.
    pub bind_address: bool,
    /// The cookies that page scripts see in answers to `request`.
    pub set_cookie: SetCookie,
}

/// `[handlers]`: the folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Handlers {
    /// The folder whose `.wasm` files are served, absolute.
    pub dir: PathBuf,
    /// True if changes are followed while the server runs.
    pub watch: bool,
    /// The time that a file which is written in place must rest before it is loaded.
    pub settle: Duration,
    /// Time between two looks at the whole folder.
    pub rescan: Duration,
    /// Names of handlers without which nothing is served.
    pub required: Vec<String>,
}

/// `[limits]`, as far as it is for the node. The other keys of the section are defaults of
/// [`HandlerSettings`](crate::runtime::HandlerSettings), so this type does not refuse keys that it does not know.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Calls running at once, of all handlers.
    pub concurrency: usize,
    /// Calls that may wait for one of the running to end.
    pub queue: usize,
    /// The longest time that a call may wait.
    pub queue_wait: Duration,
    /// Bytes of memory of all guests together; `None` means half of the machine's or of the container's.
    pub memory_budget: Option<u64>,
}

/// `[admin]`: the console.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Admin {
    /// The address on which the console listens.
    pub listen: Console,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: Level,
    /// The format of a line.
    pub format: Format,
}

/// `[dev]`: what `hitchy dev` and `hitchy build` run besides cargo.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dev {
    /// The command that has to run once before anything is built.
    pub setup: Option<Setup>,
    /// Files of the handlers folder, as paths below the folder of the settings, each with the command that makes it.
    #[serde(default)]
    pub build: BTreeMap<String, String>,
}

/// A command that is run when what it creates is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The command, for `sh -c`.
    pub command: String,
    /// A file or folder, as a path below the folder of the settings.
    pub creates: String,
}
