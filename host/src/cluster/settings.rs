//! What a node has to know to be one of several: where Redis is, how it is asked, and what the node is called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// The port of Redis where a URL names none.
const DEFAULT_PORT: u16 = 6379;

/// Settings of a node that is one of several.
pub struct ClusterSettings {
    /// Where Redis is.
    pub redis: RedisUrl,
    /// The password of Redis, if it wants one.
    pub password: Option<Password>,
    /// What the nodes sign their messages with. Without one, it is the password.
    pub secret: Option<Password>,
    /// The largest event that is sent to other nodes or taken from them, in bytes.
    pub largest: usize,
    /// Beginning of the names of all channels and keys.
    pub prefix: String,
    /// What a start without Redis means.
    pub mode: Mode,
    /// The longest time that a start waits for Redis in the mode [`Mode::Required`].
    pub start_timeout: Duration,
    /// The name of this node for people.
    pub name: String,
}

/// What a start without Redis means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is answered until Redis has been reached.
    Required,
    /// The node serves its own clients until Redis is reached.
    Optional,
}

/// A password. Nothing shows it.
#[derive(Clone)]
pub struct Password(Arc<str>);

impl Password {
    /// Makes a password of its text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the connection to Redis.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The place of a Redis server: `redis://cache.internal:6379/0`, or `rediss://` for TLS, with a user's name before the
/// host if there is one (`redis://hitchy@cache.internal`). It has no password, so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RedisUrl {
    /// True for `rediss`.
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: u32,
}

impl RedisUrl {
    /// Returns host and port, as people write them.
    pub fn place(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            return format!("[{host}]:{port}");
        }
        format!("{host}:{port}")
    }
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or("not a URL")?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" => false,
            "rediss" => true,
            _ => return Err("not a URL of Redis"),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| "not the number of a database")?,
        };
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        if user.is_some_and(|user| !is_name(user)) {
            return Err("not the name of a user");
        }
        let (host, port) = host_and_port(address)?;
        Ok(Self {
            is_tls,
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            database,
        })
    }
}

/// Takes apart `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn host_and_port(address: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("not an address")?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| "not an address")?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => {
            let (host, port) = address.split_once(':').unwrap_or((address, ""));
            if !is_name(host) {
                return Err("not the name of a host");
            }
            (host, port)
        }
    };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().map_err(|_| "not a port")?,
    };
    Ok((host, port))
}

/// Returns true for text of letters, digits and `-._`.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !text.is_empty() && text.chars().all(is_part)
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.place())?;
        match self.database {
            0 => Ok(()),
            number => write!(f, "/{number}"),
        }
    }
}

impl TryFrom<String> for RedisUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_user_and_database() {
        for (text, canonical) in [
            ("redis://cache", "redis://cache:6379"),
            ("REDISS://a.b:7000/0", "rediss://a.b:7000"),
            (
                "redis://hitchy@10.0.0.7:1/12",
                "redis://hitchy@10.0.0.7:1/12",
            ),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("redis://[fd00::1]:7/", "redis://[fd00::1]:7"),
        ] {
            let url: RedisUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(url));
        }
    }

    #[test]
    fn a_url_has_no_password_and_no_other_scheme() {
        for text in [
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://:hunter2@cache",
            "redis://user:hunter2@cache",
            "redis://@cache",
            "redis://cache:70000",
            "redis://cache/x",
            "redis://cache/0/1",
            "redis://[::1",
            "redis://[cache]",
            "redis://a b",
            "redis://cache?protocol=resp3",
        ] {
            assert!(text.parse::<RedisUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", Password::new("hunter2")).contains("hunter2"));
    }
}
