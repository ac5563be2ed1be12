//! Sends requests of guests: takes a place, finds and checks the addresses, connects to the checked one, and bounds
//! all of it in time. It follows no redirects and knows no proxies.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::address::is_public;
use super::body::{Bounds, Held, RequestBody, ResponseBody};
use super::destination::{Destination, Host};
use super::errors;
use super::fair_semaphore::{FairPermit, FairSemaphore};
use super::grant::Grant;
use super::pool::{Connection, Key, Pool};
use super::resolver::{Resolve, SystemResolver};
use super::tls::Tls;
use crate::metrics::{Metrics, OutgoingRequest};
use crate::text::visible;

/// Longest time to resolve a name, and longest time to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// Addresses of a name that are tried, one after the other.
const MAX_TRIED: usize = 4;

/// Returns true for addresses that are not public but allowed for names.
pub type AllowedNetworks = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Settings of the node for requests of handlers to other servers.
pub struct OutgoingSettings<'a> {
    /// Requests that may be under way at the same time, of all handlers together.
    pub requests: usize,
    /// A file in PEM format with certificates that are trusted besides those of the system.
    pub ca_file: Option<&'a Path>,
    /// The networks that names may resolve to although they are not public.
    pub networks: AllowedNetworks,
}

/// The way of all handlers to other servers. Clones share the connections.
#[derive(Clone)]
pub struct OutgoingHttp(Arc<OutgoingClient>);

struct OutgoingClient {
    resolver: Box<dyn Resolve>,
    networks: AllowedNetworks,
    tls: Tls,
    pool: Arc<Pool>,
    places: FairSemaphore,
    metrics: Arc<Metrics>,
    /// The task that closes idle connections.
    _sweeper: AbortOnDropHandle<()>,
}

impl OutgoingHttp {
    /// Makes the way to other servers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The file of additional certificates cannot be read or has none.
    pub fn new(settings: OutgoingSettings<'_>, metrics: Arc<Metrics>) -> io::Result<Self> {
        Self::with_resolver(settings, metrics, Box::new(SystemResolver::new()))
    }

    pub(super) fn with_resolver(
        settings: OutgoingSettings<'_>,
        metrics: Arc<Metrics>,
        resolver: Box<dyn Resolve>,
    ) -> io::Result<Self> {
        let pool = Arc::new(Pool::default());
        let swept = Arc::clone(&pool);
        let sweeper = tokio::spawn(async move { swept.keep_sweeping().await });
        Ok(Self(Arc::new(OutgoingClient {
            resolver,
            networks: settings.networks,
            tls: Tls::new(settings.ca_file)?,
            pool,
            places: FairSemaphore::new(settings.requests),
            metrics,
            _sweeper: AbortOnDropHandle::new(sweeper),
        })))
    }

    /// Returns the counters of the server.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Sends a request to a destination that the handler may call, and returns the response as soon as its head is
    /// there.
    pub(super) async fn send(
        self,
        request: Request<WasiBody>,
        destination: Destination,
        grant: Grant,
    ) -> Result<Response<WasiBody>, Error> {
        let counted = OutgoingRequest::begin(Arc::clone(&self.0.metrics));
        let ended = grant.ended.clone();
        let sent = ended.run_until_cancelled(self.0.send(request, &destination, grant));
        let sent = sent.await.unwrap_or(Err(Error::ConnectionTerminated));
        match sent {
            Ok((response, bounds, rest)) => {
                let held = rest.with(counted);
                let body = |incoming| ResponseBody::new(incoming, bounds, held).boxed_unsync();
                Ok(response.map(body))
            }
            Err(error) => {
                counted.end(errors::outcome(&error));
                Err(error)
            }
        }
    }
}

/// What a response holds, without the count of its request.
struct Exchange {
    connection: Connection,
    pool: Arc<Pool>,
    places: (OwnedSemaphorePermit, FairPermit),
}

impl Exchange {
    fn with(self, request: OutgoingRequest) -> Held {
        Held {
            connection: self.connection,
            pool: self.pool,
            request,
            _places: self.places,
        }
    }
}

impl OutgoingClient {
    async fn send(
        &self,
        request: Request<WasiBody>,
        destination: &Destination,
        mut grant: Grant,
    ) -> Result<(Response<Incoming>, Bounds, Exchange), Error> {
        let request = prepared(request, destination, grant.bytes)?;
        let places = self.take_places(&mut grant).await?;
        let addresses = self.addresses(destination, &grant).await?;
        let keys: Vec<Key> = addresses
            .into_iter()
            .map(|address| Key {
                destination: destination.clone(),
                address: SocketAddr::new(address, destination.port),
            })
            .collect();
        let (response, connection) = self.exchange(&keys, request, &grant).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || has_two_lengths(&response) {
            return Err(Error::HttpProtocolError);
        }
        let size = response.body().size_hint().exact().unwrap_or_default();
        if size > grant.bytes as u64 {
            return Err(Error::HttpResponseBodySize(Some(size)));
        }
        let bounds = Bounds {
            bytes: grant.bytes,
            end: grant.end,
            between: grant.options.between_bytes_timeout,
            ended: grant.ended,
        };
        let rest = Exchange {
            connection,
            pool: Arc::clone(&self.pool),
            places,
        };
        Ok((response, bounds, rest))
    }

    /// Waits for its turn, for a place among the requests of the call, and for one among those of the node.
    async fn take_places(
        &self,
        grant: &mut Grant,
    ) -> Result<(OwnedSemaphorePermit, FairPermit), Error> {
        let turn = grant.turn.take();
        let (parallel, handler) = (Arc::clone(&grant.parallel), Arc::clone(&grant.handler));
        let both = async {
            let turn = match turn {
                Some(turn) => Some(turn.come().await),
                None => None,
            };
            let of_call = parallel.acquire_owned().await;
            let of_node = self.places.take(&handler).await;
            drop(turn);
            Some((of_call.ok()?, of_node?))
        };
        let taken = within(grant.end, Error::ConnectionLimitReached, both).await?;
        taken.ok_or(Error::ConnectionLimitReached)
    }

    /// Returns the addresses of a destination. All of them are allowed.
    async fn addresses(
        &self,
        destination: &Destination,
        grant: &Grant,
    ) -> Result<Vec<IpAddr>, Error> {
        let name = match &destination.host {
            // The setting names the address itself.
            Host::Address(address) => return Ok(vec![*address]),
            host if host.is_localhost() => {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            Host::Name(name) => name,
        };
        let end = grant.until(CONNECT_TIME, None);
        let resolving = self.resolver.resolve(name, &grant.handler);
        let resolved = within(end, Error::DnsTimeout, resolving).await?;
        let mut addresses = resolved.map_err(|_| Error::DnsError {
            rcode: None,
            info_code: None,
        })?;
        if let Some(special) = addresses.iter().find(|address| !self.is_allowed(**address)) {
            self.log_special(destination, *special, grant);
            return Err(Error::DestinationIpProhibited);
        }
        addresses.truncate(MAX_TRIED);
        if addresses.is_empty() {
            return Err(Error::DestinationNotFound);
        }
        Ok(addresses)
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        is_public(address) || (self.networks)(address)
    }

    fn log_special(&self, destination: &Destination, address: IpAddr, grant: &Grant) {
        if self.metrics.outgoing.logged.count().is_some() {
            tracing::warn!(
                handler = %visible(&grant.handler),
                "a request to {destination} was refused: the name resolves to {address}, which is not a public address; if it \
                 may be called, add its network to outbound.networks"
            );
        }
    }

    /// Sends the request over a kept connection, or over a new one if there is none or it turns out to be closed.
    async fn exchange(
        &self,
        keys: &[Key],
        request: Request<WasiBody>,
        grant: &Grant,
    ) -> Result<(Response<Incoming>, Connection), Error> {
        let mut kept = None;
        for key in keys {
            kept = self.pool.take(key).await;
            if kept.is_some() {
                break;
            }
        }
        let request = match kept {
            Some(connection) => match ask(connection, request, grant).await? {
                Asked::Answered(response, connection) => return Ok((response, connection)),
                Asked::Again(request) => request,
                Asked::Closed(error) => return Err(error),
            },
            None => request,
        };
        let connection = self.connect(keys, grant).await?;
        match ask(connection, request, grant).await? {
            Asked::Answered(response, connection) => Ok((response, connection)),
            Asked::Again(_) => Err(Error::ConnectionTerminated),
            Asked::Closed(error) => Err(error),
        }
    }

    /// Connects to the first address that accepts. Each address gets its share of the time.
    async fn connect(&self, keys: &[Key], grant: &Grant) -> Result<Connection, Error> {
        let end = grant.until(CONNECT_TIME, grant.options.connect_timeout);
        let mut failed = Error::ConnectionTimeout;
        for (tried, key) in keys.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            let share = Instant::now() + left / u32::try_from(keys.len() - tried).unwrap_or(1);
            let open = Connection::open(key.clone(), &self.tls);
            match within(share, Error::ConnectionTimeout, open).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) | Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// The result of a request on one connection.
enum Asked {
    /// The head of the response, and the connection on which its body comes.
    Answered(Response<Incoming>, Connection),
    /// The connection was closed before the server could have acted on the request, which may be sent again.
    Again(Request<WasiBody>),
    /// The connection failed.
    Closed(Error),
}

/// Sends a request on a connection and waits for the head of the response.
async fn ask(
    mut connection: Connection,
    request: Request<WasiBody>,
    grant: &Grant,
) -> Result<Asked, Error> {
    let time = grant.end.saturating_duration_since(Instant::now());
    let end = grant.until(time, grant.options.first_byte_timeout);
    let (request, copy) = with_copy(request);
    let sent = connection.sender.try_send_request(request);
    let mut error = match within(end, Error::HttpResponseTimeout, sent).await? {
        Ok(response) => return Ok(Asked::Answered(response, connection)),
        Err(error) => error,
    };
    if let Some(unsent) = error.take_message() {
        return Ok(Asked::Again(unsent));
    }
    let error = errors::of_hyper(error.error());
    let is_closed = matches!(
        error,
        Error::ConnectionTerminated | Error::HttpResponseIncomplete
    );
    Ok(match copy.filter(|_| is_closed) {
        Some(copy) => Asked::Again(Request::from_parts(copy, empty())),
        None => Asked::Closed(error),
    })
}

/// Returns true for a response that says the length of its body in two ways, which may be an attempt to pass one
/// response off as two (RFC 9112, 6.3). Hyper reads its body in chunks and leaves both headers.
fn has_two_lengths(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Returns the head of a request that may be sent twice (RFC 9110, 9.2.2): it changes nothing and has no body.
fn with_copy(request: Request<WasiBody>) -> (Request<WasiBody>, Option<Parts>) {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_safe || !request.body().is_end_stream() {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let copy = parts.clone();
    (Request::from_parts(parts, body), Some(copy))
}

/// Brings a request into the form in which it is sent: the path alone, and the host of its destination.
fn prepared(
    request: Request<WasiBody>,
    destination: &Destination,
    limit: usize,
) -> Result<Request<WasiBody>, Error> {
    let (mut parts, body) = request.into_parts();
    // Hyper would open a tunnel.
    if parts.method == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/{path}"),
    };
    parts.uri = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    let host = HeaderValue::try_from(destination.authority());
    let host = host.map_err(|_| Error::HttpRequestUriInvalid)?;
    parts.headers.insert(HOST, host);
    let declared = parts.headers.get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Error::HttpRequestBodySize(declared));
    }
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, body));
    }
    let body = RequestBody::new(body, limit).boxed_unsync();
    Ok(Request::from_parts(parts, body))
}

fn empty() -> WasiBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Waits for a future until `end`.
async fn within<T>(end: Instant, late: Error, future: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout_at(end.into(), future)
        .await
        .map_err(|_| late)
}
