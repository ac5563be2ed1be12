//! The servers that a handler may call: entries of its setting `outbound`, and the destination of a request.
//!
//! Both are read by the same rules, so that a host has one spelling only. Spellings that other programs read
//! differently (`127.1`, `0x7f.0.0.1`, user names, percent codes, letters beyond ASCII) are no host at all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use serde::{Deserialize, Serialize};

/// Longest name of a host, and longest label of one (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The host of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// A name in lower case and without a dot at its end.
    Name(String),
    /// An address. An IPv4 address that is mapped into IPv6 counts as the IPv4 address.
    Address(IpAddr),
}

/// A server that is called: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// True for `https`, false for `http`.
    pub(super) tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A reason why a URI is not that of a server that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDestination {
    /// The scheme is missing or another one.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// There is a user name, with or without a password. It serves to hide the host.
    #[error("it has a user name before its host; send an authorization header instead")]
    User,
    /// The port is no number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// The host is neither a name nor an address, or one in a spelling that other programs read differently.
    #[error("its host is neither a name nor an address in its usual spelling")]
    Host,
}

impl Destination {
    /// Returns the destination of a request with this URI.
    pub(super) fn of(uri: &Uri) -> Result<Self, NoDestination> {
        let scheme = uri.scheme_str().ok_or(NoDestination::Scheme)?;
        let authority = uri.authority().ok_or(NoDestination::Host)?;
        Self::read(scheme, authority.as_str())
    }

    fn read(scheme: &str, authority: &str) -> Result<Self, NoDestination> {
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(NoDestination::Scheme),
        };
        let (host, port) = split(authority)?;
        Ok(Self {
            tls,
            host: Host::read(host)?,
            port: port.unwrap_or(default_port(tls)),
        })
    }

    /// Returns the value of the header `host`: the host, and the port if it is not that of the scheme.
    pub(super) fn authority(&self) -> String {
        if self.port == default_port(self.tls) {
            return self.host.to_string();
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// Writes an origin: `https://api.example.com`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, NoDestination> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').ok_or(NoDestination::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| NoDestination::Host)?;
            return Ok(Self::Address(IpAddr::from(address).to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        if !is_name(&name) || ends_in_a_number(&name) {
            return Err(NoDestination::Host);
        }
        Ok(Self::Name(name))
    }

    /// Returns true for the name of this machine, which means its loopback addresses (RFC 6761, 6.3).
    pub(super) fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Splits an authority into host and port.
fn split(authority: &str) -> Result<(&str, Option<u16>), NoDestination> {
    if authority.contains('@') {
        return Err(NoDestination::User);
    }
    // The colons of an IPv6 address are inside its brackets.
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[end..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = (&authority[..end + colon], &authority[end + colon + 1..]);
    if port.is_empty() {
        return Ok((host, None));
    }
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && *port > 0);
    Ok((host, Some(port.ok_or(NoDestination::Port)?)))
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(is_in_label)
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// Returns true if some programs would read the name as an IPv4 address (URL standard, "ends in a number").
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_decimal || last.strip_prefix("0x").is_some_and(is_hexadecimal)
}

/// One entry of `outbound`: an origin, or all origins below a domain, as in `https://*.example.org:8443`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutboundEntry {
    /// For a wildcard, the host is the domain.
    origin: Destination,
    /// True if the hosts below the domain are meant, and not the domain itself.
    below: bool,
}

impl OutboundEntry {
    /// Returns true if a request to `destination` is allowed by this entry.
    pub(super) fn allows(&self, destination: &Destination) -> bool {
        if !self.below {
            return self.origin == *destination;
        }
        let (Host::Name(domain), Host::Name(name)) = (&self.origin.host, &destination.host) else {
            return false;
        };
        let is_below = name
            .strip_suffix(domain.as_str())
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        is_below && (self.origin.tls, self.origin.port) == (destination.tls, destination.port)
    }
}

impl FromStr for OutboundEntry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const NOT_AN_ORIGIN: &str = "not an origin";
        let (scheme, authority) = text.split_once("://").ok_or(NOT_AN_ORIGIN)?;
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, authority),
        };
        let scheme = scheme.to_ascii_lowercase();
        let origin = Destination::read(&scheme, authority).map_err(|_| NOT_AN_ORIGIN)?;
        if below && matches!(origin.host, Host::Address(_)) {
            return Err(NOT_AN_ORIGIN);
        }
        Ok(Self { origin, below })
    }
}

impl fmt::Display for OutboundEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.below {
            return self.origin.fmt(f);
        }
        let origin = self.origin.to_string();
        let (scheme, authority) = origin.split_once("://").unwrap_or_default();
        write!(f, "{scheme}://*.{authority}")
    }
}

impl TryFrom<String> for OutboundEntry {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<OutboundEntry> for String {
    fn from(entry: OutboundEntry) -> Self {
        entry.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(uri: &str) -> Result<String, NoDestination> {
        let uri: Uri = uri.parse().map_err(|_| NoDestination::Host)?;
        Destination::of(&uri).map(|destination| destination.to_string())
    }

    fn allows(entry: &str, uri: &str) -> bool {
        let entry: OutboundEntry = entry.parse().expect(entry);
        let uri: Uri = uri.parse().expect(uri);
        Destination::of(&uri).is_ok_and(|destination| entry.allows(&destination))
    }

    #[test]
    fn g19_a_host_has_one_spelling() {
        for (uri, origin) in [
            ("https://API.Example.com:443/x", "https://api.example.com"),
            ("http://api.example.com.:80", "http://api.example.com"),
            ("http://api.example.com:", "http://api.example.com"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
            ("http://[::FFFF:10.0.0.5]:8080/", "http://10.0.0.5:8080"),
            ("http://[0:0::1]", "http://[::1]"),
            ("http://127.0.0.1.", "http://127.0.0.1"),
        ] {
            assert_eq!(destination(uri).as_deref(), Ok(origin), "{uri}");
        }
    }

    #[test]
    fn g19_what_others_read_as_another_host_is_none() {
        use NoDestination::{Host, Port, Scheme, User};

        for (uri, cause) in [
            ("http://2130706433/", Host),
            ("http://127.1/", Host),
            ("http://0x7f.0.0.1/", Host),
            ("http://0x7f000001/", Host),
            ("http://0177.0.0.1/", Host),
            ("http://127.0.0.0x1/", Host),
            ("http://256.0.0.1/", Host),
            ("http://api.example.com@127.0.0.1/", User),
            ("http://user:secret@api.example.com/", User),
            ("http://[fe80::1%25eth0]/", Host),
            ("http://127.0.0.1%2f/", Host),
            ("http://b\u{fc}cher.example/", Host),
            ("http://api..example.com/", Host),
            ("http://api.example.com:99999/", Port),
            ("http://api.example.com:0/", Port),
            ("http://api.example.com:+80/", Port),
            ("ftp://api.example.com/", Scheme),
            ("/only/a/path", Scheme),
        ] {
            // The parser of URIs refuses some of them already.
            let refused = destination(uri).unwrap_err();
            assert!(
                refused == cause || uri.parse::<Uri>().is_err(),
                "{uri}: {refused:?}"
            );
        }
    }

    #[test]
    fn g19_an_entry_allows_its_origin_only() {
        let entry = "https://api.example.com";
        assert!(allows(entry, "https://API.example.com:443/path?query"));
        for other in [
            "http://api.example.com",
            "https://api.example.com:8443",
            "https://example.com",
            "https://api.example.com.evil.test",
            "https://evil.test/api.example.com",
            "https://www.api.example.com",
        ] {
            assert!(!allows(entry, other), "{other}");
        }
        assert!(allows("http://10.0.0.5", "http://[::ffff:10.0.0.5]"));
        assert!(allows(
            "http://localhost:9200",
            "http://LOCALHOST:9200/_search"
        ));
    }

    #[test]
    fn g19_a_wildcard_allows_what_is_below_and_no_address() {
        let entry = "https://*.example.org:8443";
        assert!(allows(entry, "https://a.example.org:8443"));
        assert!(allows(entry, "https://a.b.example.org:8443"));
        for other in [
            "https://example.org:8443",
            "https://a.example.org",
            "http://a.example.org:8443",
            "https://evilexample.org:8443",
            "https://10.0.0.5:8443",
        ] {
            assert!(!allows(entry, other), "{other}");
        }
        for text in [
            "https://*",
            "*",
            "https://*.10.0.0.5",
            "https://a.*.example.org",
            "https://api.example.com/path",
            "https://api.example.com?x",
            "api.example.com",
            "https://",
            "https://2130706433",
            "wss://api.example.com",
        ] {
            assert!(text.parse::<OutboundEntry>().is_err(), "{text}");
        }
        let written: OutboundEntry = "HTTPS://*.Example.org:443".parse().unwrap();
        assert_eq!(written.to_string(), "https://*.example.org");
    }
}
