//! The resolution of host names, behind a trait, so that tests can have names of their own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::fair_semaphore::FairSemaphore;

/// Resolutions that may run at the same time. Each blocks a thread, also after its caller has given up.
const PARALLEL: usize = 16;

/// Finds the addresses of names.
pub(super) trait Resolve: Send + Sync {
    /// Returns the addresses of `name`, which is in lower case and has no dot at its end, for a handler.
    fn resolve(
        &self,
        name: &str,
        handler: &Arc<str>,
    ) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
pub(super) struct SystemResolver {
    places: Arc<FairSemaphore>,
}

impl SystemResolver {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(FairSemaphore::new(PARALLEL)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(
        &self,
        name: &str,
        handler: &Arc<str>,
    ) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (name, handler) = (name.to_owned(), Arc::clone(handler));
        let places = Arc::clone(&self.places);
        async move {
            let place = places.take(&handler).await;
            let look_up = move || {
                // The thread keeps the place until it has ended.
                let _place = place;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            let looked_up = tokio::task::spawn_blocking(look_up);
            looked_up.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}
