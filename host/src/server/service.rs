//! The trait `Service`, which the router and the console implement to answer the requests of a listening socket.

use axum::extract::Request;
use axum::response::Response;

/// Answers the requests of a listening socket.
pub(super) trait Service: Send + Sync + 'static {
    /// Returns the response to a request.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}
