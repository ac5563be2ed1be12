//! The standard output of a command, kept up to a limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::lock::lock;

/// The output of one call. Clones share it.
#[derive(Clone)]
pub(super) struct Captured {
    limit: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
}

/// The command printed more than may be passed on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("its output has more than {0} bytes (server.answer-limit)")]
struct TooLong(usize);

impl Captured {
    /// Makes an empty output that may have `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: Arc::default(),
        }
    }

    /// Returns what was printed, and leaves nothing.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.bytes))
    }

    fn add(&self, more: &[u8]) -> Result<(), TooLong> {
        let mut bytes = lock(&self.bytes);
        if more.len() > self.limit - bytes.len() {
            return Err(TooLong(self.limit));
        }
        bytes.extend_from_slice(more);
        Ok(())
    }
}

impl IsTerminal for Captured {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Captured {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Captured {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // The call ends here, because no answer can come of it any more.
        self.add(&bytes)
            .map_err(|error| StreamError::Trap(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Captured {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let added = self.add(bytes).map_err(std::io::Error::other);
        Poll::Ready(added.map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_output_is_kept_up_to_the_limit() {
        let output = Captured::new(3);
        assert!(output.add(b"ab").is_ok() && output.add(b"cd").is_err());
        assert_eq!(output.take(), b"ab");
    }
}
