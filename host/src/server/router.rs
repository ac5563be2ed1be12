//! Routes each request of a listening socket to its door.
//!
//! The router checks the head of the request, picks the door by the path and adds the CORS headers of the settings.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Version, header};
use axum::response::Response;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use super::files::client_bundle::ClientBundle;
use super::http::HttpDoor;
use super::http::headers::authority;
use super::limits::{MAX_HEADER_BYTES, MAX_TARGET};
use super::service::Service;
use super::socketio::transport::{Transports, socket_origins};
use crate::config::{Origins, Server};
use crate::payload::Failure;

/// Routes requests to the doors.
pub(super) struct Router {
    doors: Arc<Doors>,
    /// The doors wrapped in a CORS layer for HTTP requests; none if only the server's own pages may ask.
    cors: Option<WithCors>,
    /// The doors wrapped in a CORS layer for polling, whose origins have a setting of their own.
    cors_of_sockets: Option<WithCors>,
}

type WithCors = BoxCloneSyncService<Request, Response, Infallible>;

/// The doors of the server.
struct Doors {
    http: Arc<HttpDoor>,
    /// The door of engine.io requests. Other requests bypass the library's tower layers, which cost more per request
    /// than finding a route.
    transports: Transports,
    /// The browser client's files below the endpoint's path, which the library does not serve.
    bundle: ClientBundle,
}

impl Router {
    /// Creates a router to these doors, with CORS as the section `[server]` sets it.
    pub(super) fn new(
        http: Arc<HttpDoor>,
        transports: Transports,
        bundle: ClientBundle,
        server: &Server,
    ) -> Self {
        let doors = Arc::new(Doors {
            http,
            transports,
            bundle,
        });
        Self {
            cors: doors.with_cors(&server.cors),
            cors_of_sockets: doors.with_cors(&socket_origins(server)),
            doors,
        }
    }
}

impl Service for Router {
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
    /// Checks the head of a request and passes the request to its door.
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

    /// Wraps the doors in a CORS layer; none if `origins` needs no layer.
    fn with_cors(self: &Arc<Self>, origins: &Origins) -> Option<WithCors> {
        let doors = Arc::clone(self);
        let inner = service_fn(move |request| {
            let doors = Arc::clone(&doors);
            async move { Ok(doors.answer(request).await) }
        });
        Some(BoxCloneSyncService::new(cors(origins)?.layer(inner)))
    }
}

/// Checks the limits and the host header of a request's head. The failure is a 400, 414, 431 or 501.
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
    // RFC 9112, 3.2: HTTP/1.1 requires exactly one host header.
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
    // A client would take any successful answer for an open tunnel (RFC 9110, 9.3.6).
    if parts.method == Method::CONNECT {
        return Err(Failure::new(
            501,
            "CONNECT is for proxies, which this is not",
        ));
    }
    Ok(())
}

/// Returns true if a host header is empty, or a host with an optional port (RFC 9110, 7.2).
fn is_host(host: &HeaderValue) -> bool {
    host.is_empty() || authority(host).is_some_and(|authority| !authority.as_str().contains('@'))
}

/// Returns true for an OPTIONS request that is not a preflight. The CORS layer would answer it; it belongs to a route.
fn is_own_options(request: &Request) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS
        && !(has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD))
}

/// Returns the CORS layer for `origins`; none for the default, the own origin only.
///
/// Credentials are allowed to listed origins only, never to all origins.
fn cors(origins: &Origins) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request());
    match origins {
        Origins::Own => None,
        Origins::Any => Some(layer.allow_origin(AllowOrigin::any())),
        listed @ Origins::Listed(_) => {
            let listed = listed.clone();
            let is_allowed = AllowOrigin::predicate(move |origin, _| {
                origin.to_str().is_ok_and(|origin| listed.allow(origin))
            });
            Some(layer.allow_origin(is_allowed).allow_credentials(true))
        }
    }
}
