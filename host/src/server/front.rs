//! What is decided before a request reaches a door: whether its head is in order, which door it is for, whether the server is ready
//! for sockets, and whether a page of that origin may open one (CORS does not cover websockets). And CORS, as it is set.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Version, header};
use axum::response::Response;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::http::HttpDoor;
use crate::config::{Config, Origins};
use crate::dispatch::{Dispatch, Refusal};
use crate::payload::Failure;
use crate::registry::Registry;

/// Bytes of the request target.
const MAX_TARGET: usize = 8 << 10;
/// Bytes of all headers of a request.
const MAX_HEADERS: usize = 32 << 10;

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
            Some(service) if !is_own_options(&request) => {
                let Ok(response) = service.clone().oneshot(request).await;
                response
            }
            _ => self.doors.answer(request).await,
        }
    }
}

impl Doors {
    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let is_for_sockets = self.is_for_sockets(parts.uri.path());
        let mut checked = check_head(&parts);
        if is_for_sockets {
            checked = checked.and_then(|()| self.check_visitor(&parts));
        }
        match checked {
            Err(failure) => self.http.refuse(&parts.headers, body, &failure).await,
            Ok(()) if is_for_sockets => {
                let request = Request::from_parts(parts, body);
                let Ok(response) = self.sockets.clone().oneshot(request).await;
                response
            }
            Ok(()) => self.http.answer(parts, body).await,
        }
    }

    fn is_for_sockets(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.socket_path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Why a request to the socket.io server is not let through.
    fn check_visitor(&self, parts: &Parts) -> Result<(), Failure> {
        if !self.registry.table().ready {
            return Err(Refusal::Starting.failure());
        }
        // Sessions that exist may say goodbye.
        let has_session = parts
            .uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.starts_with("sid=")));
        if self.dispatch.is_draining() && !has_session {
            return Err(Refusal::Draining.failure());
        }
        let Some(origin) = parts.headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let allowed = origin.to_str().is_ok_and(|origin| {
            is_own(origin, &parts.headers) || self.origins.allow(origin) || self.cors.allow(origin)
        });
        let sentence = "pages of this origin may not open sockets here; the setting server.origins says which may";
        if allowed {
            Ok(())
        } else {
            Err(Failure::new(403, sentence))
        }
    }
}

/// Why the head of a request is not in order, whoever it is for.
fn check_head(parts: &Parts) -> Result<(), Failure> {
    let target = parts.uri.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        let sentence = format!("the url is longer than {MAX_TARGET} bytes");
        return Err(Failure::new(414, sentence));
    }
    let headers = parts.headers.iter();
    let size: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if size > MAX_HEADERS {
        let sentence = format!("the headers are larger than {MAX_HEADERS} bytes");
        return Err(Failure::new(431, sentence));
    }
    // RFC 9112, 3.2: exactly one, from HTTP/1.1 on.
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Failure::new(400, "a request has exactly one host header"));
    }
    // Whatever answered it would be taken for a tunnel (RFC 9110, 9.3.6).
    if parts.method == Method::CONNECT {
        return Err(Failure::new(
            501,
            "CONNECT is for proxies, which this is not",
        ));
    }
    Ok(())
}

/// Whether it is an OPTIONS that is meant for a route: not a preflight, for which the layer of CORS takes each of them.
fn is_own_options(request: &Request) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS
        && !(has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD))
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
