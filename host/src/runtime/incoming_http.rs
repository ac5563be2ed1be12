//! Components of `wasi:http` 0.2: calls of their incoming handler, which reads the request and writes the answer as
//! streams.
//!
//! The call goes on after the head of the answer is there, because the guest writes the body meanwhile. A guest waits
//! where it writes until the client has taken what it wrote before.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Resource};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler::GuestIndices;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::call::CallContext;
use super::convert;
use super::error::{CallError, LoadError};
use super::guest::Guest;
use super::instance::lease::Owner;
use super::instance::state::{Phase, State, StreamEnd};
use crate::lock::lock;
use crate::message::{Body, Door, Exchange, Piece, Pieces, Response, Upload};

/// The host that a guest sees if the request names none, as requests of HTTP/1.0 and of other handlers.
const NO_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// The head of an answer with its body, or why it cannot be passed on.
pub type Head = Result<Response, CallError>;

/// A request for a component of `wasi:http`.
pub struct Incoming {
    /// The request as it came.
    pub exchange: Arc<Exchange>,
    /// The body, if it arrives while the request is answered. Else the whole body is in the request.
    pub upload: Option<Upload>,
}

/// Looks up the incoming handler of a component that exports one.
pub(super) fn export(pre: &InstancePre<State>) -> Result<GuestIndices, LoadError> {
    GuestIndices::new(pre).map_err(|error| {
        LoadError::Invalid(format!(
            "its incoming handler is not that of wasi:http 0.2: {error:#}"
        ))
    })
}

impl Guest {
    /// Returns true for a component of `wasi:http`, which has one route and is called by [`Guest::on_incoming`].
    pub fn is_wasi_http(&self) -> bool {
        self.exports.find::<GuestIndices>().is_some()
    }

    /// Calls the incoming handler. The head of the answer goes to `answer` while the call runs, and the call runs on
    /// until the guest has written the body and returns. Dropping the call breaks the body.
    ///
    /// # Errors
    /// The call went wrong. A guest that sets no answer just drops `answer`.
    pub async fn on_incoming(
        &self,
        context: CallContext,
        incoming: Incoming,
        answer: oneshot::Sender<Head>,
    ) -> Result<(), CallError> {
        let Incoming { exchange, upload } = incoming;
        let mut call = self.call(context, Phase::Serving, Arc::clone(&self.settings));
        let end = StreamEnd::new(call.began + self.settings.stream_deadline);
        // The other doors collect the answer, so its end is that of the call. To HEAD nothing is streamed.
        let asked = &exchange.request;
        if asked.door == Door::Http && asked.method != Method::HEAD {
            call.stream = Some(Arc::clone(&end));
        }
        // Dropped with the call, also if the instance is kept and the guest with it still has the body.
        let lent = upload.map(|upload| LentPieces::new(upload.pieces));
        let body = match &lent {
            Some(lent) => uploaded(lent),
            None => Full::new(asked.body.clone())
                .map_err(|never| match never {})
                .boxed_unsync(),
        };
        self.run(call, Owner::Anyone, async |store, linked| {
            let guest = linked.export(store, |store, instance| {
                self.exports.get::<GuestIndices>()?.load(store, instance)
            })?;
            let request = request(store, &exchange, body)?;
            let out = outparam(store, end, answer)?;
            guest.call_handle(&mut *store, request, out).await
        })
        .await
    }
}

/// Makes the guest's handle of the request.
fn request(
    store: &mut Store<State>,
    exchange: &Exchange,
    body: WasiBody,
) -> wasmtime::Result<Resource<HostIncomingRequest>> {
    let request = &exchange.request;
    let mut incoming = hyper::Request::new(body);
    *incoming.method_mut() = request.method.clone();
    *incoming.uri_mut() = Uri::try_from(request.target.to_string())?;
    let headers = incoming.headers_mut();
    headers.clone_from(&request.headers);
    let host = headers.entry(header::HOST).or_insert(NO_HOST);
    if host.is_empty() {
        *host = NO_HOST;
    }
    let scheme = scheme(headers.get("x-forwarded-proto"));
    store
        .data_mut()
        .http()
        .new_incoming_request(scheme, incoming)
}

/// Returns the scheme of a request. Only a trusted proxy may say that it was HTTPS: the header of others was removed.
fn scheme(forwarded: Option<&HeaderValue>) -> Scheme {
    let is_https = forwarded.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    if is_https {
        Scheme::Https
    } else {
        Scheme::Http
    }
}

/// The body of a request that arrives, lent to the guest until this is dropped.
struct LentPieces(Arc<Mutex<Option<Pieces>>>);

impl LentPieces {
    fn new(pieces: Pieces) -> Self {
        Self(Arc::new(Mutex::new(Some(pieces))))
    }

    /// Returns the pieces, which end with an error when this is dropped.
    fn stream(&self) -> impl Stream<Item = io::Result<Piece>> + Send + use<> {
        let pieces = Arc::clone(&self.0);
        poll_fn(move |context| match &mut *lock(&pieces) {
            Some(pieces) => pieces.poll_next_unpin(context),
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        })
    }
}

impl Drop for LentPieces {
    fn drop(&mut self) {
        let pieces = lock(&self.0).take();
        drop(pieces);
    }
}

/// Returns a body that arrives, as the guest reads it.
fn uploaded(lent: &LentPieces) -> WasiBody {
    let frames = lent.stream().map(|piece| match piece {
        Ok(Piece::Data(bytes)) => Ok(Frame::data(bytes)),
        Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
        Err(error) => Err(upload_error(&error)),
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// Returns the error that a guest reads in place of the rest of a body.
fn upload_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::HttpRequestBodySize(None),
        io::ErrorKind::TimedOut => Error::ConnectionReadTimeout,
        _ => Error::ConnectionTerminated,
    }
}

/// Makes the guest's handle by which it sets its answer.
fn outparam(
    store: &mut Store<State>,
    end: Arc<StreamEnd>,
    answer: oneshot::Sender<Head>,
) -> wasmtime::Result<Resource<HostResponseOutparam>> {
    let set = move |result: Result<hyper::Response<HyperOutgoingBody>, ErrorCode>| {
        let head = match result {
            Ok(response) => head(response),
            Err(code) => Err(CallError::BadAnswer(format!(
                "the guest reports an error in place of an answer: {code}"
            ))),
        };
        if matches!(&head, Ok(response) if matches!(response.body, Body::Stream(_))) {
            end.begin();
        }
        // The receiver is gone only if the call is being dropped.
        let _ = answer.send(head);
    };
    store
        .data_mut()
        .http()
        .new_response_outparam_from_callback(set)
}

/// Checks the head of an answer, and takes its body as a stream. The length that the guest announces is that of the
/// stream: the guest cannot write more, and a stream that ends earlier is broken.
fn head(response: hyper::Response<HyperOutgoingBody>) -> Head {
    let (parts, body) = response.into_parts();
    let status = convert::status(parts.status.as_u16())?;
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let headers = convert::stream_headers(parts.headers)?;
    let body = if convert::is_bodiless(status) {
        Body::empty()
    } else {
        Body::Stream(Pieces::with_trailers(length, written(body)))
    };
    Ok(Response {
        status,
        headers,
        body,
    })
}

/// Returns the pieces that a guest writes.
fn written(body: HyperOutgoingBody) -> impl Stream<Item = io::Result<Piece>> + Send {
    BodyStream::new(body).filter_map(|frame| ready(piece(frame)))
}

/// Converts a frame of a body. HTTP/1.1 knows no others than data and trailers.
fn piece(frame: Result<Frame<Bytes>, Error>) -> Option<io::Result<Piece>> {
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, error))),
    };
    match frame.into_data() {
        Ok(bytes) => Some(Ok(Piece::Data(bytes))),
        Err(frame) => Some(Ok(Piece::Trailers(frame.into_trailers().ok()?))),
    }
}
