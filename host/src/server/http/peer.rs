//! Who is at the other end: the peer's address, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

use crate::config::Server;
use crate::outbound::Outbound;

/// The other end of a TCP connection, put into each request by the accept loop.
#[derive(Clone, Debug)]
pub(in crate::server) struct Peer {
    pub(in crate::server) address: SocketAddr,
    pub(in crate::server) line: Arc<Outbound>,
}

/// Headers by which proxies say whom they speak for. From anyone else they are lies or mistakes.
pub(in crate::server) fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
}

/// The client's address, and its headers without what only a trusted proxy may say.
pub(in crate::server) fn identify(
    server: &Server,
    peer: Option<&Peer>,
    mut headers: HeaderMap,
) -> (SocketAddr, HeaderMap) {
    let remote = remote(server, peer, &headers);
    if peer.is_some_and(|peer| server.trusts(peer.address.ip())) {
        return (remote, headers);
    }
    let lies: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_forwarding(name))
        .cloned()
        .collect();
    for name in lies {
        headers.remove(name);
    }
    (remote, headers)
}

/// The client's address: the peer's, or what a trusted proxy says.
pub(in crate::server) fn remote(
    server: &Server,
    peer: Option<&Peer>,
    headers: &HeaderMap,
) -> SocketAddr {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let direct = peer.map_or(unknown, |peer| peer.address);
    if server.trusts(direct.ip()) {
        return forwarded_for(server, headers).unwrap_or(direct);
    }
    direct
}

/// The last address in `x-forwarded-for` that is not a trusted proxy's: what comes before it the client may have made up.
fn forwarded_for(server: &Server, headers: &HeaderMap) -> Option<SocketAddr> {
    let values = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let addresses = hops.iter().rev().map_while(|hop| address_of(hop));
    let client = addresses
        .into_iter()
        .find(|address| !server.trusts(*address))?;
    Some(SocketAddr::new(client, 0))
}

/// Some proxies add the port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().map(|address: SocketAddr| address.ip());
    hop.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn headers(forwarded_for: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded_for.parse().unwrap());
        headers.insert("accept", "*/*".parse().unwrap());
        headers
    }

    fn peer() -> Peer {
        Peer {
            address: "192.0.2.1:5000".parse().unwrap(),
            line: Arc::new(Outbound::of_connection()),
        }
    }

    #[test]
    fn b12_strangers_do_not_say_whom_they_speak_for() {
        let peer = peer();
        let (remote, headers) = identify(
            &Config::default().server,
            Some(&peer),
            headers("198.51.100.7"),
        );
        assert_eq!(remote, peer.address);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn b12_a_trusted_proxy_does() {
        let mut server = Config::default().server;
        server.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        let peer = peer();
        let (remote, _) = identify(
            &server,
            Some(&peer),
            headers("10.0.0.1, 198.51.100.7, 192.0.2.9"),
        );
        assert_eq!(remote.to_string(), "198.51.100.7:0");
        let ported = headers("198.51.100.7:4711, 192.0.2.9:80");
        let (remote, _) = identify(&server, Some(&peer), ported);
        assert_eq!(remote.to_string(), "198.51.100.7:0");
    }
}
