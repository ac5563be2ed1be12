//! The engine.io part of the socket.io library, whichever adapter the library uses.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use socketioxide::adapter::Adapter;
use socketioxide::service::SocketIoService;
use tokio::sync::mpsc::UnboundedReceiver;
use tower::{Service, ServiceExt};

use super::query::{EngineQuery, Transport};
use super::wire::WireStream;
use crate::server::limits::CLOSE_TIMEOUT;

/// A websocket as the library reads and writes it.
pub(in crate::server) type Websocket = WireStream<TokioIo<Upgraded>>;

/// Answers requests of engine.io and serves websockets.
pub(in crate::server) trait Engine: Send + Sync {
    /// Answers a request of a polling client.
    fn answer(&self, request: Request) -> BoxFuture<'static, Response>;
    /// Serves a websocket until it is closed. `request` is the one that opened it. Does nothing if the request is not
    /// one of engine.io.
    fn serve(&self, websocket: Websocket, request: http::Request<()>);
}

impl<S, B, A> Engine for SocketIoService<S, A>
where
    S: Service<Request, Response = http::Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
    A: Adapter,
{
    fn answer(&self, request: Request) -> BoxFuture<'static, Response> {
        let service = self.clone();
        Box::pin(async move {
            let Ok(response) = ServiceExt::<Request>::oneshot(service, request).await;
            response.map(Body::new)
        })
    }

    fn serve(&self, websocket: Websocket, request: http::Request<()>) {
        // The call spawns the tasks of the websocket and is ready at once. Its error repeats what was checked before.
        drop(hyper::service::Service::call(self, (websocket, request)));
    }
}

/// Closes each polling session whose id is received on `ids`.
///
/// The library has no call for it (socketioxide 0.18), so that this posts a CLOSE packet, as a client does.
pub(in crate::server) async fn close_ended(
    engine: Arc<dyn Engine>,
    path: String,
    mut ids: UnboundedReceiver<String>,
) {
    while let Some(id) = ids.recv().await {
        let uri = EngineQuery::of_session(&id, Transport::Polling).uri(&path);
        let Ok(request) = Request::post(uri).body(Body::from("1")) else {
            continue;
        };
        // The library refuses the request if the session is closed already or has become a websocket. The time is
        // bounded so that one session cannot hold up the end of the others.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, engine.answer(request)).await;
    }
}
