//! The connections to other nodes, as the settings have them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::start_error::StartError;
use crate::cluster::{Cluster, ClusterSettings};
use crate::config::Config;

/// Connects this server to others, if the settings say that it is one of several. `addresses` are those on which it
/// listens.
pub(super) fn connect(
    config: &Config,
    addresses: &[SocketAddr],
) -> Result<Option<Arc<Cluster>>, StartError> {
    let cluster = &config.cluster;
    let Some(redis) = &cluster.redis else {
        return Ok(None);
    };
    let password = match cluster.password.as_str() {
        "" => None,
        name => Some(config.environment().read_password(name)?),
    };
    let settings = ClusterSettings {
        redis: redis.clone(),
        password,
        prefix: cluster.prefix.clone(),
        mode: cluster.mode,
        start_timeout: cluster.start_timeout,
        name: cluster.name.clone().unwrap_or_else(|| name(addresses)),
    };
    let started = Cluster::start(&settings).map_err(StartError::Cluster)?;
    Ok(Some(started))
}

/// Returns the name of the host and the port, which no other node has.
fn name(addresses: &[SocketAddr]) -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let is_part = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
    let host: String = host.chars().filter(is_part).take(56).collect();
    match addresses.first() {
        Some(address) => format!("{host}:{}", address.port()),
        None => host,
    }
}
