//! What is decided before a request reaches the socket.io library: whether the server is ready, and whether a page of that origin
//! may open a socket (CORS does not cover websockets). And CORS, as it is set.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::http::to_axum;
use crate::config::{Config, Origins};
use crate::dispatch::{Dispatch, Refusal, error_response};
use crate::payload::Failure;
use crate::registry::Registry;

/// The porch.
pub(super) struct Front {
    registry: Arc<Registry>,
    dispatch: Arc<Dispatch>,
    socket_path: String,
    origins: Origins,
    cors: Origins,
}

impl Front {
    pub(super) fn new(registry: Arc<Registry>, dispatch: Arc<Dispatch>, config: &Config) -> Self {
        Self {
            registry,
            dispatch,
            socket_path: config.socket.path.clone(),
            origins: config.server.origins.clone(),
            cors: config.server.cors.clone(),
        }
    }

    /// Puts the porch before the doors.
    pub(super) fn before(self, router: Router) -> Router {
        let cors = cors(&self.cors);
        let router = router.layer(middleware::from_fn_with_state(Arc::new(self), enter));
        match cors {
            Some(cors) => router.layer(cors),
            None => router,
        }
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

async fn enter(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    if front.is_for_sockets(request.uri().path())
        && let Some(failure) = front.refusal(&request)
    {
        return to_axum(error_response(&front.dispatch.next_id(), &failure)).into_response();
    }
    next.run(request).await
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
