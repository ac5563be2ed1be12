//! The body of an answer: complete in memory, as nearly all are, or a stream of pieces that is never complete in
//! memory. The body of a request is such a stream too, if its handler reads it while it arrives.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use http::HeaderMap;

use crate::payload::Failure;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// The body is in memory.
    Full(Bytes),
    /// The body arrives in pieces while it is sent.
    Stream(Pieces),
}

/// A body that arrives in pieces. A value that it keeps is dropped together with it.
pub struct Pieces {
    length: Option<u64>,
    pieces: BoxStream<'static, io::Result<Piece>>,
    _kept: Option<Box<dyn Send>>,
}

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the body.
    Data(Bytes),
    /// Headers that follow the body. They are the last piece.
    Trailers(HeaderMap),
}

impl Piece {
    /// Returns the number of bytes of the body in this piece.
    fn bytes(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Trailers(_) => 0,
        }
    }
}

/// The body of a request that arrives while the request is answered.
#[derive(Debug)]
pub struct Upload {
    /// The body. It ends with an error if the client breaks off or exceeds a limit.
    pub pieces: Pieces,
    /// The reason for that error, once there is one: what the client is answered if the handler gives no answer.
    pub failure: Arc<OnceLock<Failure>>,
}

/// The reason for which a stream could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The stream has more bytes than the limit.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// The stream ended with an error.
    #[error("it broke off: {0}")]
    Broken(#[from] io::Error),
}

impl Body {
    /// Makes a body without bytes.
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    /// Returns the bytes of a body in memory; zero for a stream.
    pub fn in_memory(&self) -> u64 {
        match self {
            Self::Full(bytes) => bytes.len() as u64,
            Self::Stream(_) => 0,
        }
    }

    /// Collects a stream. Fails if the stream breaks off or has more than `limit` bytes. A body in memory is returned
    /// as it is, whatever its size.
    pub async fn collect(self, limit: usize) -> Result<Bytes, CollectError> {
        match self {
            Self::Full(bytes) => Ok(bytes),
            Self::Stream(pieces) => pieces.collect(limit).await,
        }
    }

    /// Lets a stream keep `kept` until the stream has been sent or dropped. A body in memory drops it at once.
    #[must_use]
    pub fn keeping(self, kept: impl Send + 'static) -> Self {
        match self {
            Self::Full(bytes) => Self::Full(bytes),
            Self::Stream(pieces) => Self::Stream(Pieces {
                _kept: Some(Box::new(kept)),
                ..pieces
            }),
        }
    }
}

impl Pieces {
    /// Makes a stream of `length` bytes; none if the length is not known.
    pub fn new(
        length: Option<u64>,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self::with_trailers(length, pieces.map(|piece| piece.map(Piece::Data)))
    }

    /// Makes a stream of `length` bytes, which trailers may follow; none if the length is not known.
    pub fn with_trailers(
        length: Option<u64>,
        pieces: impl Stream<Item = io::Result<Piece>> + Send + 'static,
    ) -> Self {
        Self {
            length,
            pieces: pieces.boxed(),
            _kept: None,
        }
    }

    /// Makes the body of an answer to HEAD: a stream that announces `length` bytes and ends at once.
    pub fn unsent(length: u64) -> Self {
        Self::new(Some(length), stream::empty())
    }

    /// Returns the length in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns a stream whose end is there already as a body in memory. A stream that ends in trailers stays a stream.
    ///
    /// # Errors
    /// The stream ends with an error, its end is not there, or it has another length than it should have.
    pub fn gathered(mut self) -> io::Result<Body> {
        let mut pieces = Vec::new();
        loop {
            match self.next().now_or_never() {
                Some(Some(piece)) => pieces.push(piece?),
                Some(None) => break,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let total: u64 = pieces.iter().map(Piece::bytes).sum();
        if self.length.is_some_and(|length| length != total) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Data(bytes)]) => Ok(Body::Full(bytes)),
            Ok(only @ [Piece::Trailers(_)]) => Ok(self.again(only.into())),
            Err(pieces) if matches!(pieces.last(), Some(Piece::Trailers(_))) => {
                Ok(self.again(pieces))
            }
            Err(pieces) => Ok(Body::Full(joined(&pieces))),
        }
    }

    /// Returns pieces that were taken out of this stream as a stream.
    fn again(self, pieces: Vec<Piece>) -> Body {
        let pieces = stream::iter(pieces).map(Ok).boxed();
        Body::Stream(Self { pieces, ..self })
    }

    async fn collect(mut self, limit: usize) -> Result<Bytes, CollectError> {
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(CollectError::TooLarge(limit));
        }
        // The length is not above the limit.
        let expected = self.length.and_then(|length| usize::try_from(length).ok());
        let mut whole = BytesMut::with_capacity(expected.unwrap_or(0));
        while let Some(piece) = self.next().await {
            let Piece::Data(bytes) = piece? else {
                continue;
            };
            if whole.len() + bytes.len() > limit {
                return Err(CollectError::TooLarge(limit));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }
}

/// Returns the bytes of pieces as one.
fn joined(pieces: &[Piece]) -> Bytes {
    let mut whole = BytesMut::new();
    for piece in pieces {
        if let Piece::Data(bytes) = piece {
            whole.extend_from_slice(bytes);
        }
    }
    whole.freeze()
}

impl Stream for Pieces {
    type Item = io::Result<Piece>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(context)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces = formatter.debug_struct("Pieces");
        pieces.field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(length: Option<u64>, pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
        Body::Stream(Pieces::new(length, stream::iter(pieces)))
    }

    #[tokio::test]
    async fn r13_a_stream_is_collected_up_to_the_limit() {
        let whole = body(None, &["ab", "cd"]).collect(4).await;
        assert_eq!(whole.unwrap(), "abcd");
        let late = body(None, &["ab", "cd", "e"]).collect(4).await;
        assert!(matches!(late, Err(CollectError::TooLarge(4))), "{late:?}");
        let at_once = body(Some(5), &[]).collect(4).await;
        assert!(
            matches!(at_once, Err(CollectError::TooLarge(4))),
            "{at_once:?}"
        );
    }

    #[tokio::test]
    async fn r13_one_that_breaks_off_is_no_body() {
        let pieces = stream::iter([Ok(Bytes::from("ab")), Err(io::ErrorKind::Other.into())]);
        let broken = Body::Stream(Pieces::new(None, pieces)).collect(4).await;
        assert!(matches!(broken, Err(CollectError::Broken(_))), "{broken:?}");
    }

    #[test]
    fn a_stream_that_is_there_becomes_a_body_in_memory_unless_trailers_follow() {
        let gathered = |pieces: Vec<io::Result<Piece>>| {
            Pieces::with_trailers(None, stream::iter(pieces)).gathered()
        };
        let data = |text: &'static str| Ok(Piece::Data(Bytes::from(text)));
        let full = |text: &'static str, body| match body {
            Ok(Body::Full(bytes)) => bytes == text,
            _ => false,
        };
        assert!(full("", gathered(vec![])));
        assert!(full("ab", gathered(vec![data("ab")])));
        assert!(full("abcd", gathered(vec![data("ab"), data("cd")])));
        let trailers = || Ok(Piece::Trailers(HeaderMap::new()));
        for pieces in [vec![trailers()], vec![data("ab"), trailers()]] {
            assert!(matches!(gathered(pieces), Ok(Body::Stream(_))));
        }
        assert!(gathered(vec![data("ab"), Err(io::ErrorKind::Other.into())]).is_err());
        let endless = Pieces::new(None, stream::pending()).gathered();
        assert!(endless.is_err());
    }

    #[test]
    fn what_a_stream_keeps_lives_as_long_as_it_does() {
        let kept = std::sync::Arc::new(());
        let body = body(None, &[]).keeping(std::sync::Arc::clone(&kept));
        assert_eq!(std::sync::Arc::strong_count(&kept), 2);
        drop(body);
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }
}
