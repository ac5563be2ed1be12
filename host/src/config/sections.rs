//! The sections of the settings as structs of resolved values. Each field corresponds to a row of the table of keys.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::types::{
    Backend, CacheDir, Console, Format, Level, Listen, Network, Origins, SetCookie, Transport,
};
use crate::cluster::{Mode, RedisUrl};

/// Settings of `[server]`: HTTP and connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Server {
    /// Addresses on which the server listens.
    pub listen: Listen,
    /// Absolute path of the folder whose files are served where no route matches.
    pub public: PathBuf,
    /// Path below `public` of the page that answers where nothing else does; empty if there is none.
    pub fallback: String,
    /// Largest body of a request in bytes, for HTTP, polling and websocket alike.
    pub body_limit: usize,
    /// Largest body of a handler's response in bytes.
    pub answer_limit: usize,
    /// Largest number of open connections. `None` means 20,000, or 80 % of the descriptor limit if that is less.
    pub max_connections: Option<usize>,
    /// Networks of the proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<Network>,
    /// Origins whose pages may send requests over HTTP. `Own` means that CORS is off.
    pub cors: Origins,
    /// Origins, besides the server's own, whose pages may connect a socket.
    pub origins: Origins,
    /// Longest time that calls may continue after the server was asked to stop.
    pub grace: Duration,
    /// Longest time for a client to send the head of a request, from its first byte.
    pub header_timeout: Duration,
    /// Longest time between a response and the next request on the same connection.
    pub keep_alive: Duration,
    /// Longest time for a client to send the complete body of a request.
    pub body_timeout: Duration,
    /// Longest pause between two parts of a body that a client sends.
    pub body_idle: Duration,
    /// Longest time that a client may read nothing of what is sent to it before its connection is closed.
    pub write_stall: Duration,
    /// Memory of what waits to be sent to all clients together, in bytes. `None` means a quarter of the memory of the
    /// machine or of the container.
    pub outbound_memory: Option<u64>,
}

impl Server {
    /// Returns true if the forwarding headers of a connection from `peer` are trusted.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }
}

/// Settings of `[socket]`: engine.io and socket.io.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Socket {
    /// Path of the socket.io endpoint. It begins with `/` and does not end with it.
    pub path: String,
    /// Absolute path of the folder with the files of the official client.
    pub client: PathBuf,
    /// Time between two pings to a client.
    pub ping_interval: Duration,
    /// Longest time for a client to answer a ping.
    pub ping_timeout: Duration,
    /// Longest time for a client to connect to a namespace after its transport was opened.
    pub connect_timeout: Duration,
    /// Transports that a socket may use, at least one.
    pub transports: Vec<Transport>,
    /// Largest number of packets that may wait for one client.
    pub send_buffer: usize,
    /// Largest number of bytes that may wait for one client.
    pub send_bytes: usize,
    /// Largest number of connected clients.
    pub max_sockets: usize,
    /// Largest number of clients that have not connected to a namespace yet.
    pub max_unclaimed: usize,
    /// True if a polling session accepts requests only from the address that opened it.
    pub bind_address: bool,
    /// Visibility of `set-cookie` to page scripts in answers to `request`.
    pub set_cookie: SetCookie,
}

/// Settings of `[handlers]`: the folder of the handlers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Handlers {
    /// Absolute path of the folder whose `.wasm` files are served.
    pub dir: PathBuf,
    /// True if changes in the folder are followed while the server runs.
    pub watch: bool,
    /// Time that a file must stay unchanged after it was written in place before it is loaded.
    pub settle: Duration,
    /// Time between two scans of the folder.
    pub rescan: Duration,
    /// Names of the handlers that must be loaded before any request is served.
    pub required: Vec<String>,
}

/// Settings of `[cache]`: compiled code on disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cache {
    /// The folder of compiled code. `None` means the platform's cache folder, see
    /// [`Config::cache_folder`](super::Config::cache_folder).
    pub dir: Option<CacheDir>,
    /// Largest size of all files of the folder together, in bytes.
    pub max_bytes: u64,
}

/// Settings of `[limits]` for the node. The other keys of the section are defaults of
/// [`HandlerSettings`](crate::runtime::HandlerSettings), so this type ignores keys that it does not have.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Largest number of calls that run at the same time, of all handlers together.
    pub concurrency: usize,
    /// Largest number of calls that may wait until another call ends.
    pub queue: usize,
    /// Longest time that a call may wait before it is answered with 503.
    pub queue_wait: Duration,
    /// Largest number of instances that are kept between calls, of all handlers together.
    pub kept_instances: usize,
    /// Memory of all guests together, in bytes. `None` means half of the memory of the machine or of the container.
    pub memory_budget: Option<u64>,
}

/// Settings of `[outbound]`: requests of handlers to other servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outbound {
    /// Largest number of requests that are under way at the same time, of all handlers together.
    pub requests: usize,
    /// Absolute path of a file with certificates that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Networks that are not public but to which names may resolve.
    pub networks: Vec<Network>,
}

/// Settings of `[kv]`: key-value storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyValue {
    /// Where data is kept.
    pub backend: Backend,
    /// Absolute path of the folder of the embedded storage.
    pub path: PathBuf,
    /// Largest number of keys of one bucket.
    pub max_keys: u64,
    /// Largest size of the keys and values of one bucket in bytes.
    pub max_bytes: u64,
    /// Bytes of the disk that stay free.
    pub min_free: u64,
    /// Memory of the embedded storage for what was read, in bytes.
    pub page_cache: usize,
}

/// Settings of `[cluster]`: several nodes that are one server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// Where Redis is. `None` if this server is alone.
    #[serde(deserialize_with = "if_not_empty")]
    pub redis: Option<RedisUrl>,
    /// What a start without Redis means.
    pub mode: Mode,
    /// Longest time that a start waits for Redis that is required.
    pub start_timeout: Duration,
    /// Name of the secret with the password of Redis; empty if it wants none.
    pub password: String,
    /// Name of the secret with which nodes sign what they say; empty if it is the password.
    pub secret: String,
    /// Beginning of the names of all channels and keys.
    pub prefix: String,
    /// Name of this node. `None` means the host's name and the port.
    pub name: Option<String>,
}

/// Reads text that stands for nothing if it is empty.
fn if_not_empty<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String, Error = &'static str>,
{
    match String::deserialize(deserializer)? {
        empty if empty.is_empty() => Ok(None),
        text => T::try_from(text)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

/// Settings of `[admin]`: the console.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Admin {
    /// Addresses on which the console listens, if it is on.
    pub listen: Console,
}

/// Settings of `[log]`: level and format of the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Log {
    /// Lowest level of lines that are written.
    pub level: Level,
    /// Format of a line.
    pub format: Format,
}

/// Settings of `[dev]`: the commands that `hitchy dev` and `hitchy build` run besides cargo.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dev {
    /// Command that runs before the first build if the path that it creates is missing.
    pub setup: Option<Setup>,
    /// Commands by the `.wasm` file that each of them makes. The files are paths below the folder of the settings.
    #[serde(default)]
    pub build: BTreeMap<String, String>,
}

/// A command that runs if the path that it creates is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Command line for `sh -c`.
    pub command: String,
    /// Path of the file or folder that the command creates, below the folder of the settings.
    pub creates: String,
}
