//! The address of a client: the address of the TCP peer, or the address that a trusted proxy forwards.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

use super::headers::{list_items, remove_where};
use crate::config::Server;
use crate::outbound::Outbound;

/// The peer of a TCP connection. The accept loop adds it to the extensions of each request.
#[derive(Clone, Debug)]
pub(in crate::server) struct Peer {
    pub(in crate::server) address: SocketAddr,
    /// Counts what is written to the connection.
    pub(in crate::server) outbound: Arc<Outbound>,
}

/// Returns true for the headers in which a proxy names the client that it forwards. Only a trusted proxy may send them.
pub(in crate::server) fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
}

/// Returns the client's address, and its headers without those that only a trusted proxy may send.
pub(in crate::server) fn identify(
    server: &Server,
    peer: Option<&Peer>,
    mut headers: HeaderMap,
) -> (SocketAddr, HeaderMap) {
    let remote = remote(server, peer, &headers);
    if peer.is_some_and(|peer| server.trusts(peer.address.ip())) {
        return (remote, headers);
    }
    remove_where(&mut headers, is_forwarding);
    (remote, headers)
}

/// Returns the client's address: the address of the peer, or the address that a trusted proxy forwards.
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

/// Returns the last address in `x-forwarded-for` that is not a trusted proxy's, with port 0.
///
/// Addresses before it may be made up by the client. The search also stops at an entry that is not an address.
fn forwarded_for(server: &Server, headers: &HeaderMap) -> Option<SocketAddr> {
    let hops: Vec<&str> = list_items(headers, "x-forwarded-for").collect();
    let client = hops
        .iter()
        .rev()
        .map_while(|hop| address_of(hop))
        .find(|address| !server.trusts(*address))?;
    Some(SocketAddr::new(client, 0))
}

/// Parses an entry of `x-forwarded-for`: an address, to which some proxies add the port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().map(|address: SocketAddr| address.ip());
    hop.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::outbound::OutboundMemory;

    fn headers(forwarded_for: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded_for.parse().unwrap());
        headers.insert("accept", "*/*".parse().unwrap());
        headers
    }

    fn peer() -> Peer {
        Peer {
            address: "192.0.2.1:5000".parse().unwrap(),
            outbound: Outbound::of_connection(&OutboundMemory::new(0)),
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
