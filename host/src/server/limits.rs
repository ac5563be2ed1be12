//! Limits that several doors share: sizes of heads and packets, the time to close, and what may wait for clients.

use std::sync::Arc;
use std::time::Duration;

use super::runtime::machine_memory;
use crate::config::Config;
use crate::outbound::OutboundMemory;
use crate::session::Bounds;

/// Longest request target, in bytes.
pub(super) const MAX_TARGET: usize = 8 << 10;
/// Largest number of headers of a request.
pub(super) const MAX_HEADERS: usize = 100;
/// Largest size of all headers of a request, names and values together, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 32 << 10;
/// Longest time for each step of closing sockets and connections once no call is running.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the largest size of a packet, in bytes: four times the limit of bodies.
///
/// A packet above the limit of bodies is answered with a 413. A packet above this size ends its session.
pub(super) fn packet_limit(config: &Config) -> usize {
    config.server.body_limit.saturating_mul(4)
}

/// Returns the largest size of the body of a polling request, in bytes: a packet with its attachments in base64.
pub(super) fn post_limit(config: &Config) -> usize {
    let packet = packet_limit(config);
    // Base64 makes four bytes of three. The last KiB is for the framing.
    packet.saturating_add(packet / 3).saturating_add(1 << 10)
}

/// Returns the budget for what waits to be sent to all clients.
pub(super) fn outbound_memory(config: &Config) -> Arc<OutboundMemory> {
    let quarter_of_memory = || machine_memory() / 4;
    let total = config.server.outbound_memory;
    OutboundMemory::new(total.unwrap_or_else(quarter_of_memory))
}

pub(super) fn session_bounds(config: &Config) -> Bounds {
    let socket = &config.socket;
    Bounds {
        sessions: socket.max_sockets,
        unclaimed: socket.max_unclaimed,
        packets: socket.send_buffer,
        bytes: socket.send_bytes as u64,
        stall: config.server.write_stall,
        connect: socket.connect_timeout,
    }
}
