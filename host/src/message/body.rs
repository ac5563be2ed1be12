//! The body of an answer: whole, as nearly all are, or a stream of pieces that is never in memory as a whole.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// The body is in memory.
    Whole(Bytes),
    /// Comes while it is sent.
    Stream(Pieces),
}

/// A body that comes in pieces. What it keeps lives as long as it does.
pub struct Pieces {
    length: Option<u64>,
    pieces: BoxStream<'static, io::Result<Bytes>>,
    _kept: Option<Box<dyn Send>>,
}

/// The reason for which a stream could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    /// It is larger than the limit.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// The stream ended with an error.
    #[error("it broke off: {0}")]
    Broken(#[from] io::Error),
}

impl Body {
    /// Makes an empty body.
    pub fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// Collects it; an error when it has more than `limit` bytes. What is whole already is what it is.
    pub async fn whole(self, limit: usize) -> Result<Bytes, NotWhole> {
        match self {
            Self::Whole(bytes) => Ok(bytes),
            Self::Stream(pieces) => pieces.collected(limit).await,
        }
    }

    /// Lets a stream keep something until it has been sent or dropped.
    #[must_use]
    pub fn keeping(self, kept: impl Send + 'static) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(bytes),
            Self::Stream(pieces) => Self::Stream(Pieces {
                _kept: Some(Box::new(kept)),
                ..pieces
            }),
        }
    }
}

impl Pieces {
    /// A stream of `length` bytes, if that is known.
    pub fn new(
        length: Option<u64>,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self {
            length,
            pieces: pieces.boxed(),
            _kept: None,
        }
    }

    /// The answer to HEAD: so many bytes would come, and none does.
    pub fn unsent(length: u64) -> Self {
        Self::new(Some(length), stream::empty())
    }

    /// Returns the length in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    async fn collected(mut self, limit: usize) -> Result<Bytes, NotWhole> {
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(NotWhole::TooLarge(limit));
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Err(NotWhole::TooLarge(limit));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

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
        let whole = body(None, &["ab", "cd"]).whole(4).await;
        assert_eq!(whole.unwrap(), "abcd");
        let late = body(None, &["ab", "cd", "e"]).whole(4).await;
        assert!(matches!(late, Err(NotWhole::TooLarge(4))), "{late:?}");
        let at_once = body(Some(5), &[]).whole(4).await;
        assert!(matches!(at_once, Err(NotWhole::TooLarge(4))), "{at_once:?}");
    }

    #[tokio::test]
    async fn r13_one_that_breaks_off_is_no_body() {
        let pieces = stream::iter([Ok(Bytes::from("ab")), Err(io::ErrorKind::Other.into())]);
        let broken = Body::Stream(Pieces::new(None, pieces)).whole(4).await;
        assert!(matches!(broken, Err(NotWhole::Broken(_))), "{broken:?}");
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
