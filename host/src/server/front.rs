//! What is decided before a request reaches a door: which of them it is for, whether the server is ready, and whether a page of that
//! origin may open a socket (CORS does not cover websockets). And CORS, as it is set.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::http::{HttpDoor, to_axum};
use crate::config::{Config, Origins};
use crate::dispatch::{Dispatch, Refusal, error_response};
use crate::payload::Failure;
use crate::registry::Registry;

/// The porch.
pub(super) struct Front {
    doors: Arc<Doors>,
    /// The same, with the headers of CORS around them, where pages of other origins may ask.
    with_cors: Option<BoxCloneSyncService<Request, Response, Infallible>>,
}

/// The doors that a request can come to.
struct Doors {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    http: HttpDoor,
    /// The socket.io library's. Requests that are not for it do not walk through its layers, which would cost each of them more
    /// than finding its route.
    sockets: Router,
    socket_path: String,
    origins: Origins,
    cors: Origins,
}

impl Front {
    /// `sockets` is what answers below `socket.path`.
    pub(super) fn new(
        registry: Arc<Registry>,
        dispatch: Arc<Dispatch>,
        sockets: Router,
        config: &Config,
    ) -> Self {
        let doors = Arc::new(Doors {
            registry,
            http: HttpDoor::new(Arc::clone(&dispatch), config),
            dispatch,
            sockets,
            socket_path: config.socket.path.clone(),
            origins: config.server.origins.clone(),
            cors: config.server.cors.clone(),
        });
        let with_cors = cors(&config.server.cors).map(|cors| {
            let doors = Arc::clone(&doors);
            let inner = service_fn(move |request| {
                let doors = Arc::clone(&doors);
                async move { Ok(doors.answer(request).await) }
            });
            BoxCloneSyncService::new(cors.layer(inner))
        });
        Self { doors, with_cors }
    }

    /// Answers a request of any kind.
    pub(super) async fn answer(&self, request: Request) -> Response {
        match &self.with_cors {
            Some(service) => {
                let Ok(response) = service.clone().oneshot(request).await;
                response
            }
            None => self.doors.answer(request).await,
        }
    }
}

impl Doors {
    async fn answer(&self, request: Request) -> Response {
        if !self.is_for_sockets(request.uri().path()) {
            return self.http.answer(request).await;
        }
        if let Some(failure) = self.refusal(&request) {
            return to_axum(error_response(&self.dispatch.next_id(), &failure));
        }
        let Ok(response) = self.sockets.clone().oneshot(request).await;
        response
    }

    fn is_for_sockets(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.socket_path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Why a request to the socket.io server is not let through.
    fn refusal(&self, request: &Request) -> Option<Failure> {
        if !self.registry.table().ready {
            return Some(Refusal::Starting.failure());
        }
        // Sessions that exist may say goodbye.
        let has_session = request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.starts_with("sid=")));
        if self.dispatch.is_draining() && !has_session {
            return Some(Refusal::Draining.failure());
        }
        let origin = request.headers().get(header::ORIGIN)?;
        let allowed = origin.to_str().is_ok_and(|origin| {
            is_own(origin, request.headers())
                || self.origins.allow(origin)
                || self.cors.allow(origin)
        });
        let sentence = "pages of this origin may not open sockets here; the setting server.origins says which may";
        (!allowed).then(|| Failure::new(403, sentence))
    }
}

/// Whether a page comes from this very server: same host and port as the request's own.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    authority
        .zip(host)
        .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// CORS as set; none by default. Credentials are never allowed to everyone.
fn cors(origins: &Origins) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request());
    match origins {
        Origins::Own => None,
        Origins::Any => Some(layer.allow_origin(AllowOrigin::any())),
        Origins::Listed(list) => {
            let list = list
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok());
            Some(
                layer
                    .allow_origin(AllowOrigin::list(list))
                    .allow_credentials(true),
            )
        }
    }
}
