//! The packet that opens a session (engine.io protocol, "Handshake").

use serde::{Deserialize, Serialize};
use socketioxide::socket::Sid;

use super::query::Transport;
use crate::config::Config;

/// What every packet that opens a session says.
pub(super) struct OpenPacket {
    /// True if a session that polls may move to a websocket.
    may_upgrade: bool,
    /// Milliseconds.
    ping_interval: u64,
    /// Milliseconds.
    ping_timeout: u64,
    /// Bytes.
    max_payload: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    sid: &'a str,
    upgrades: &'a [&'a str],
    ping_interval: u64,
    ping_timeout: u64,
    max_payload: usize,
}

impl OpenPacket {
    /// Makes the packets of a server with these settings.
    pub(super) fn of(config: &Config) -> Self {
        let socket = &config.socket;
        let milliseconds =
            |time: std::time::Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
        Self {
            may_upgrade: socket.transports.contains(&Transport::Websocket),
            ping_interval: milliseconds(socket.ping_interval),
            ping_timeout: milliseconds(socket.ping_timeout),
            // Clients put as many packets into one POST as this allows. The library would tell its own limit, which
            // leaves space for base64.
            max_payload: config.server.body_limit,
        }
    }

    /// Returns the packet of a session that polls.
    pub(super) fn of_polling(&self, key: &str) -> String {
        let upgrades: &[&str] = if self.may_upgrade {
            &["websocket"]
        } else {
            &[]
        };
        self.packet(key, upgrades)
    }

    /// Returns the packet of a session over a websocket, whose key nobody needs again.
    pub(super) fn of_websocket(&self) -> String {
        self.packet(&new_key(), &[])
    }

    fn packet(&self, key: &str, upgrades: &[&str]) -> String {
        let content = Content {
            sid: key,
            upgrades,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            max_payload: self.max_payload,
        };
        let json = serde_json::to_string(&content).unwrap_or_default();
        format!("0{json}")
    }
}

/// Makes the key of a session: 96 random bits in base64.
pub(super) fn new_key() -> String {
    Sid::new().to_string()
}

/// Returns the session id of a packet that the library made: `0{"sid":"…",…}`.
pub(super) fn id_of_open(packet: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Open {
        sid: String,
    }
    let json = packet.strip_prefix(b"0")?;
    serde_json::from_slice::<Open>(json)
        .ok()
        .map(|open| open.sid)
}
