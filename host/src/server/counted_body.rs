//! The body of a response whose pieces count among what waits for a client until they are written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use crate::outbound::{Outbound, sending};

/// Smallest piece of a response that is counted, in bytes. The memory of a connection itself is larger than what is not
/// counted.
const MIN_COUNTED: usize = 4 << 10;

/// The body of a response whose pieces are counted until hyper has written them, or has given them up.
pub(super) struct CountedBody {
    body: Body,
    outbound: Arc<Outbound>,
}

impl CountedBody {
    /// Counts the pieces of `body` in `outbound`.
    pub(super) fn new(body: Body, outbound: Arc<Outbound>) -> Self {
        Self { body, outbound }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let outbound = &self.outbound;
        let count = |bytes: Bytes| match bytes.len() {
            0..MIN_COUNTED => bytes,
            _ => sending(outbound, bytes),
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(count))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
