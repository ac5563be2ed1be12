//! The address of a server: scheme, host and port, as a person writes them.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// A server's address. It is shown as `http://localhost:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    tls: bool,
    authority: Authority,
}

impl Address {
    /// The address of a page or a route, for HTTP.
    pub(super) fn http(&self, target: &str) -> String {
        format!("{self}{target}")
    }

    /// The address of a target, for websockets.
    pub(super) fn websocket(&self, target: &str) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{target}", self.authority)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        write!(formatter, "{scheme}://{}", self.authority)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; write for example http://localhost:3000");
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        // The parser of addresses wants one of the schemes that it knows.
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|_| wrong("it is no address of a server"))?;
        let authority = uri
            .authority()
            .ok_or_else(|| wrong("it names no host"))?
            .clone();
        if authority.as_str().contains('@') {
            return Err("it has a user's name; send credentials with --auth or -H".to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || rest.contains('#') {
            return Err(wrong(
                "it has more than a host and a port; where socket.io is says --path",
            ));
        }
        let port = &authority.as_str()[authority.host().len()..];
        if authority.host().is_empty() || !port.is_empty() && authority.port_u16().is_none() {
            return Err(wrong("host or port are missing or wrong"));
        }
        Ok(Self { tls, authority })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn what_a_person_writes_is_understood() {
        for (written, meant) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("localhost:3000", "http://localhost:3000"),
            ("https://example.com/", "https://example.com"),
            ("WSS://example.com:444", "https://example.com:444"),
            ("ws://[::1]:80", "http://[::1]:80"),
        ] {
            let address: Address = written.parse().expect(written);
            assert_eq!(address.to_string(), meant);
        }
        let address: Address = "https://example.com".parse().unwrap();
        assert_eq!(address.websocket("/x?a=b"), "wss://example.com/x?a=b");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "http://",
            "ftp://example.com",
            "http://localhost:",
            "http://localhost:99999",
            "http://localhost:port",
            "http://a b",
            "http://user:secret@localhost",
            "http://localhost/chat",
            "http://localhost?x=1",
            "http://localhost#x",
            "\u{1b}",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
