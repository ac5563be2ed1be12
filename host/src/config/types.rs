//! Types of setting values that are more than a number or a string. Each is parsed from the text that people write,
//! and most are written back in the same form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

/// An address to listen on: `localhost:3000` (both loopback addresses), `0.0.0.0:80`, `[::1]:0`. Port 0 lets the
/// system choose a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// Both 127.0.0.1 and ::1, written `localhost:PORT`, because browsers and tools resolve `localhost` to either of
    /// them.
    Loopbacks {
        /// TCP port. 0 means one port that the system chooses, the same for both addresses.
        port: u16,
    },
    /// One socket address.
    Address(SocketAddr),
}

impl Listen {
    /// Returns the addresses to bind, in order. For `Loopbacks { port: 0 }` the caller must bind the second address
    /// to the port that the system chose for the first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match *self {
            Self::Loopbacks { port } => vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            ],
            Self::Address(address) => vec![address],
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(("localhost", port)) = text.to_ascii_lowercase().rsplit_once(':') {
            let port = port.parse().map_err(|_| "not a port")?;
            return Ok(Self::Loopbacks { port });
        }
        let address = text.parse().map_err(|_| "not an address with a port")?;
        Ok(Self::Address(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopbacks { port } => write!(f, "localhost:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

/// The setting of the console: `off`, or an address in the form of [`Listen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Console {
    /// The console is off.
    Off,
    /// The console listens on these addresses.
    On(Listen),
}

impl FromStr for Console {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            OFF => Ok(Self::Off),
            address => address.parse().map(Self::On),
        }
    }
}

impl TryFrom<String> for Console {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Console> for String {
    fn from(console: Console) -> Self {
        match console {
            Console::Off => OFF.to_owned(),
            Console::On(listen) => listen.into(),
        }
    }
}

/// The word that switches the console or the cache off.
pub(super) const OFF: &str = "off";

/// The setting of the cache of compiled code: `off`, or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum CacheDir {
    /// Compiled code is not kept.
    Off,
    /// Compiled code is kept in the folder of this absolute path.
    At(PathBuf),
}

impl From<String> for CacheDir {
    fn from(text: String) -> Self {
        match text.as_str() {
            OFF => Self::Off,
            path => Self::At(path.into()),
        }
    }
}

/// An IP address or a block of addresses: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Returns true if `address` lies in this block. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) counts as the
    /// IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `IpNet` requires a prefix and has its own parser of addresses, so both parts are parsed here.
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| "not an IP address");
        let Some((first, length)) = text.split_once('/') else {
            return Ok(Self(IpNet::from(address(text)?)));
        };
        let start = address(first)?;
        let prefix = length.parse().map_err(|_| "not a prefix length")?;
        IpNet::new(start, prefix)
            .map(Self)
            .map_err(|_| "the prefix is longer than the address")
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            return self.0.addr().fmt(f);
        }
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Network {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

/// Web origins (RFC 6454: scheme, host and port) that are allowed to do something, besides the server's own origin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<String>")]
pub enum Origins {
    /// No origin besides the server's own. Written as an empty list.
    Own,
    /// Every origin. Written as `"*"`.
    Any,
    /// The listed origins, as browsers send them: `https://app.example.com`, in lower case and without a default port.
    Listed(Vec<String>),
}

impl Origins {
    /// Returns true if `origin`, the value of an `Origin` header, is allowed. The caller must check for the server's
    /// own origin.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Own => false,
            Self::Any => true,
            Self::Listed(listed) => {
                canonical_origin(origin).is_some_and(|origin| listed.contains(&origin))
            }
        }
    }

    /// Returns the origins that `self` or `others` allows.
    pub fn or(self, others: Self) -> Self {
        let all = Vec::from(self).into_iter().chain(Vec::from(others));
        all.collect::<Vec<_>>().into()
    }
}

impl From<Vec<String>> for Origins {
    fn from(listed: Vec<String>) -> Self {
        match listed {
            empty if empty.is_empty() => Self::Own,
            any if any.iter().any(|one| one == "*") => Self::Any,
            listed => Self::Listed(listed),
        }
    }
}

impl From<Origins> for Vec<String> {
    fn from(origins: Origins) -> Self {
        match origins {
            Origins::Own => Vec::new(),
            Origins::Any => vec!["*".into()],
            Origins::Listed(listed) => listed,
        }
    }
}

/// Returns an origin as browsers send it (RFC 6454, 6.2): in lower case and without the default port of its scheme.
/// None if the text is no origin.
pub fn canonical_origin(text: &str) -> Option<String> {
    let origin = text.to_ascii_lowercase();
    let (scheme, host) = origin.split_once("://")?;
    let is_in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_in_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if scheme.is_empty()
        || host.is_empty()
        || !scheme.chars().all(is_in_scheme)
        || !host.chars().all(is_in_host)
    {
        return None;
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let short_host = host.strip_suffix(default_port).unwrap_or(host);
    Some(format!("{scheme}://{short_host}"))
}

/// A transport of a socket.io client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Polling over HTTP requests that the server holds open.
    Polling,
    /// A websocket connection.
    Websocket,
}

/// Where key-value data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// One file of this machine.
    Embedded,
}

/// The lowest level of lines that are logged. Each level includes the levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Failures that need somebody to act.
    Error,
    /// Conditions that somebody should look at.
    Warn,
    /// Events of the server: start, loads, reloads and shutdown.
    Info,
    /// Calls of handlers, one line each.
    Debug,
    /// All other lines.
    Trace,
}

impl Level {
    /// Returns the name of the level, as settings and log filters write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text for people.
    Pretty,
    /// One JSON object per line, for machines.
    Json,
}

/// The treatment of `set-cookie` headers in answers to `request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetCookie {
    /// Page scripts do not see the headers, as with HTTP.
    Withhold,
    /// Page scripts see all headers.
    Pass,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_means_both_loopbacks() {
        let listen: Listen = "LOCALHOST:0".parse().unwrap();
        let addresses: Vec<String> = listen.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:0", "[::1]:0"]);
        assert_eq!(listen.to_string(), "localhost:0");
    }

    #[test]
    fn an_address_needs_a_port_and_no_name_but_localhost() {
        for text in [
            "3000",
            ":3000",
            "localhost",
            "localhost:70000",
            "example.com:80",
            "::1:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
        assert_eq!(
            "[::1]:80".parse::<Listen>().unwrap().to_string(),
            "[::1]:80"
        );
    }

    #[test]
    fn a_block_contains_its_addresses_and_their_mapped_forms() {
        let block: Network = "10.1.2.3/8".parse().unwrap();
        assert_eq!(block.to_string(), "10.1.2.3/8");
        for inside in ["10.0.0.1", "10.255.255.255", "::ffff:10.0.0.1"] {
            assert!(block.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "::a00:1", "fd00::1"] {
            assert!(!block.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_prefix_may_be_nothing_or_the_whole_address() {
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("fd00::1".parse().unwrap()));
        assert!(!all.contains("10.0.0.1".parse().unwrap()));
        let one: Network = "127.0.0.1".parse().unwrap();
        assert!(one.contains("127.0.0.1".parse().unwrap()));
        assert!(!one.contains("127.0.0.2".parse().unwrap()));
        assert_eq!(one.to_string(), "127.0.0.1");
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }

    #[test]
    fn listed_origins_allow_themselves_only() {
        let listed = Origins::from(vec!["https://app.example.com".to_owned()]);
        assert!(listed.allow("https://APP.example.com"));
        assert!(!listed.allow("https://app.example.com.evil.test"));
        assert!(!listed.allow("http://app.example.com"));
        assert!(Origins::from(vec!["*".to_owned()]).allow("null"));
        assert!(!Origins::from(vec![]).allow("https://app.example.com"));
    }
}
