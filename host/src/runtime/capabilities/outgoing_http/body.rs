//! Bodies of requests and responses, bounded in bytes and in time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wasmtime_wasi_http::{Error, WasiBody};

use super::errors;
use super::fair_semaphore::FairPermit;
use super::pool::{Connection, Pool};
use crate::metrics::{OutgoingOutcome, OutgoingRequest};

/// The result of one poll of a body.
type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// The body of a request, which fails beyond its limit.
pub(super) struct RequestBody {
    inner: WasiBody,
    limit: usize,
    left: usize,
}

impl RequestBody {
    pub(super) fn new(inner: WasiBody, limit: usize) -> Self {
        Self {
            inner,
            limit,
            left: limit,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = &polled else {
            return polled;
        };
        match self.left.checked_sub(size(frame)) {
            Some(left) => {
                self.left = left;
                polled
            }
            None => Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(
                self.limit as u64,
            ))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn size(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

/// The bounds of the body of a response.
pub(super) struct Bounds {
    /// The largest number of bytes.
    pub(super) bytes: usize,
    /// The time at which the body must have been received.
    pub(super) end: Instant,
    /// The longest time between two parts, if the guest set one.
    pub(super) between: Option<Duration>,
    /// Cancelled at the end of the call.
    pub(super) ended: CancellationToken,
}

/// What a response holds while its body is received.
pub(super) struct Held {
    pub(super) connection: Connection,
    pub(super) pool: Arc<Pool>,
    pub(super) request: OutgoingRequest,
    /// The places of the request among those of its call and of the node.
    pub(super) _places: (OwnedSemaphorePermit, FairPermit),
}

/// The body of a response. At its end the connection is kept for other requests, and in every other case it is closed.
pub(super) struct ResponseBody {
    /// `None` after the end and after an error.
    open: Option<Open>,
}

struct Open {
    incoming: Incoming,
    limit: usize,
    left: usize,
    end: Pin<Box<Sleep>>,
    between: Option<(Duration, Pin<Box<Sleep>>)>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    held: Held,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, bounds: Bounds, held: Held) -> Self {
        let sleep = |time| (time, Box::pin(tokio::time::sleep(time)));
        Self {
            open: Some(Open {
                incoming,
                limit: bounds.bytes,
                left: bounds.bytes,
                end: Box::pin(tokio::time::sleep_until(bounds.end.into())),
                between: bounds.between.map(sleep),
                ended: Box::pin(bounds.ended.cancelled_owned()),
                held,
            }),
        }
    }

    /// Ends the body: lets go of the connection and counts the request.
    fn close(&mut self, result: Result<(), &Error>) {
        let Some(open) = self.open.take() else {
            return;
        };
        let Held {
            connection,
            pool,
            request,
            ..
        } = open.held;
        match result {
            Ok(()) => {
                request.end(OutgoingOutcome::Answered);
                pool.keep(connection);
            }
            Err(error) => request.end(errors::outcome(error)),
        }
    }
}

impl Open {
    /// Returns the error of a body that may not go on, if there is one.
    fn poll_bounds(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if self.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(Error::ConnectionTerminated);
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Error::HttpResponseTimeout);
        }
        match &mut self.between {
            Some((_, between)) => between
                .as_mut()
                .poll(context)
                .map(|()| Error::ConnectionReadTimeout),
            None => Poll::Pending,
        }
    }

    /// Counts a part of the body.
    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Error> {
        let left = self.left.checked_sub(size(frame));
        self.left = left.ok_or(Error::HttpResponseBodySize(Some(self.limit as u64)))?;
        if let Some((time, between)) = &mut self.between {
            between.as_mut().reset(tokio::time::Instant::now() + *time);
        }
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Polled {
        // The bounds come first, because a server that always has something to send would outrun them.
        if let Poll::Ready(error) = self.poll_bounds(context) {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        polled.map(|frame| {
            let frame = frame?.map_err(|error| errors::of_hyper(&error));
            Some(frame.and_then(|frame| self.count(&frame).map(|()| frame)))
        })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Some(open) = &mut self.open else {
            return Poll::Ready(None);
        };
        let polled = open.poll(context);
        match &polled {
            Poll::Ready(None) => self.close(Ok(())),
            Poll::Ready(Some(Err(error))) => self.close(Err(error)),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.open
            .as_ref()
            .is_none_or(|open| open.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let open = self.open.as_ref();
        open.map_or_else(|| SizeHint::with_exact(0), |open| open.incoming.size_hint())
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body of a known length has ended with its last byte, without another poll.
        if self.open.is_some() && self.is_end_stream() {
            self.close(Ok(()));
        }
    }
}
