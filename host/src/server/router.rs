//! What is decided before a request reaches a door: whether its head is in order, and which door it is for. And CORS, as it is set.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, Version, header};
use axum::response::Response;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::config::{Origins, Server};
use crate::payload::Failure;
use crate::server::accept::Service;
use crate::server::files::client_bundle::Bundle;
use crate::server::http::HttpDoor;
use crate::server::socketio::transport::{Transports, visitors};

/// Bytes of the request target.
pub(super) const MAX_TARGET: usize = 8 << 10;
/// Headers of a request.
pub(super) const MAX_HEADERS: usize = 100;
/// Bytes of all headers of a request.
pub(super) const MAX_HEADER_BYTES: usize = 32 << 10;

/// The porch.
pub(super) struct Front {
    doors: Arc<Doors>,
    /// The doors with the headers of CORS around them, where pages of other origins may ask: for requests, and for polling.
    cors: Option<WithCors>,
    cors_of_sockets: Option<WithCors>,
}

type WithCors = BoxCloneSyncService<Request, Response, Infallible>;

/// The doors that a request can come to.
struct Doors {
    http: Arc<HttpDoor>,
    /// Requests that are not for the socket.io library do not walk through its layers, which would cost each of them more than
    /// finding its route.
    transports: Transports,
    /// Files beside the endpoint, of which the library knows nothing.
    bundle: Bundle,
}

impl Front {
    pub(super) fn new(
        http: Arc<HttpDoor>,
        transports: Transports,
        bundle: Bundle,
        server: &Server,
    ) -> Self {
        let doors = Arc::new(Doors {
            http,
            transports,
            bundle,
        });
        Self {
            cors: doors.with_cors(&server.cors),
            cors_of_sockets: doors.with_cors(&visitors(server)),
            doors,
        }
    }
}

impl Service for Front {
    async fn answer(&self, request: Request) -> Response {
        let cors = if self.doors.transports.owns(request.uri().path()) {
            &self.cors_of_sockets
        } else {
            &self.cors
        };
        match cors {
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
        if let Err(failure) = check_head(&parts) {
            return self.http.refuse(&parts.headers, body, &failure).await;
        }
        if !self.transports.owns(parts.uri.path()) {
            return self.http.answer(parts, body).await;
        }
        match self.bundle.file_of(&parts) {
            Some(name) => self.bundle.answer(name, &parts, body).await,
            None => self.transports.answer(parts, body).await,
        }
    }

    fn with_cors(self: &Arc<Self>, origins: &Origins) -> Option<WithCors> {
        let doors = Arc::clone(self);
        let inner = service_fn(move |request| {
            let doors = Arc::clone(&doors);
            async move { Ok(doors.answer(request).await) }
        });
        Some(BoxCloneSyncService::new(cors(origins)?.layer(inner)))
    }
}

/// Why the head of a request is not in order, whoever it is for.
pub(super) fn check_head(parts: &Parts) -> Result<(), Failure> {
    let target = parts.uri.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        let sentence = format!("the url is longer than {MAX_TARGET} bytes");
        return Err(Failure::new(414, sentence));
    }
    let headers = parts.headers.iter();
    let size: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if size > MAX_HEADER_BYTES {
        let sentence = format!("the headers are larger than {MAX_HEADER_BYTES} bytes");
        return Err(Failure::new(431, sentence));
    }
    // RFC 9112, 3.2: exactly one, from HTTP/1.1 on.
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || (host.is_none() && parts.version == Version::HTTP_11) {
        return Err(Failure::new(400, "a request has exactly one host header"));
    }
    if host.is_some_and(|host| !is_host(host)) {
        return Err(Failure::new(
            400,
            "the host header is no host, with or without a port",
        ));
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

/// Whether it names a host and perhaps a port (RFC 9110, 7.2); it may be empty.
fn is_host(host: &HeaderValue) -> bool {
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    host.is_empty() || authority.is_some_and(|authority| !authority.as_str().contains('@'))
}

/// Whether it is an OPTIONS that is meant for a route: not a preflight, for which the layer of CORS takes each of them.
fn is_own_options(request: &Request) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS
        && !(has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD))
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
