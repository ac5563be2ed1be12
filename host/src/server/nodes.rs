//! The connections to other nodes, as the settings have them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::start_error::StartError;
use crate::cluster::{Cluster, ClusterSettings, Receiver};
use crate::config::Config;

/// Connects this server to others, if the settings say that it is one of several. `addresses` are those on which it
/// listens, and `receiver` takes what others say to its clients.
pub(super) fn connect(
    config: &Config,
    addresses: &[SocketAddr],
    receiver: Arc<dyn Receiver>,
) -> Result<Option<Arc<Cluster>>, StartError> {
    let cluster = &config.cluster;
    let Some(redis) = &cluster.redis else {
        return Ok(None);
    };
    let environment = config.environment();
    let read = |key, name: &str| match name {
        "" => Ok(None),
        name => match environment.read_password(name) {
            Ok(password) => Ok(Some(password)),
            Err(error) => Err(StartError::Password(key, error)),
        },
    };
    let settings = ClusterSettings {
        redis: redis.clone(),
        password: read("cluster.password", &cluster.password)?,
        secret: read("cluster.secret", &cluster.secret)?,
        largest: config.server.body_limit,
        prefix: cluster.prefix.clone(),
        mode: cluster.mode,
        start_timeout: cluster.start_timeout,
        name: cluster.name.clone().unwrap_or_else(|| name(addresses)),
    };
    let started = Cluster::start(&settings, receiver).map_err(StartError::Cluster)?;
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
