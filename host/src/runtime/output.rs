//! What guests print: one log record a line, with the handler's name and the call's id, 16 KiB a call.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::message::CallId;
use crate::sockets::lock;

/// Bytes of output of one call that are kept.
const KEPT: usize = 16 * 1024;
/// A line longer than this is logged in pieces.
const LINE: usize = 4 * 1024;

/// Standard output or standard error of one call.
#[derive(Clone)]
pub(super) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    handler: Arc<str>,
    call: CallId,
    text: Mutex<Text>,
}

struct Text {
    line: Vec<u8>,
    left: usize,
}

impl Output {
    /// The output of a call.
    pub(super) fn new(handler: Arc<str>, call: CallId) -> Self {
        let text = Mutex::new(Text {
            line: Vec::new(),
            left: KEPT,
        });
        Self {
            shared: Arc::new(Shared {
                handler,
                call,
                text,
            }),
        }
    }

    fn write_bytes(&self, bytes: &[u8]) {
        let mut text = lock(&self.shared.text);
        if text.left == 0 {
            return;
        }
        let kept = &bytes[..bytes.len().min(text.left)];
        text.left -= kept.len();
        for &byte in kept {
            if byte == b'\n' || text.line.len() >= LINE {
                self.log(&mut text.line);
            }
            if byte != b'\n' {
                text.line.push(byte);
            }
        }
        if text.left == 0 {
            text.line
                .extend_from_slice(b" (the rest of this call's output is left out)");
            self.log(&mut text.line);
        }
    }

    /// Logs a message of the guest's own level.
    pub(super) fn record(&self, level: tracing::Level, message: &str) {
        let mut text = lock(&self.shared.text);
        let kept = &message[..message.floor_char_boundary(text.left)];
        if text.left == 0 {
            return;
        }
        text.left -= kept.len();
        self.log_text(level, kept);
    }

    /// Logs what has no line end yet: the call is over.
    pub(super) fn finish(&self) {
        let mut text = lock(&self.shared.text);
        if !text.line.is_empty() {
            self.log(&mut text.line);
        }
    }

    fn log(&self, line: &mut Vec<u8>) {
        self.log_text(tracing::Level::INFO, &String::from_utf8_lossy(line));
        line.clear();
    }

    fn log_text(&self, level: tracing::Level, text: &str) {
        let (handler, call, text) = (&self.shared.handler, &self.shared.call, escape(text));
        match level {
            tracing::Level::ERROR => tracing::error!(target: "guest", %handler, %call, "{text}"),
            tracing::Level::WARN => tracing::warn!(target: "guest", %handler, %call, "{text}"),
            tracing::Level::INFO => tracing::info!(target: "guest", %handler, %call, "{text}"),
            tracing::Level::DEBUG => tracing::debug!(target: "guest", %handler, %call, "{text}"),
            tracing::Level::TRACE => tracing::trace!(target: "guest", %handler, %call, "{text}"),
        }
    }
}

/// Makes control characters visible, so that a guest cannot forge records or colour the operator's terminal.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_bytes(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.write_bytes(bytes);
        Poll::Ready(Ok(bytes.len()))
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
    fn g21_output_is_escaped() {
        assert_eq!(escape("a\u{1b}[31mb\rc"), "a\\u{1b}[31mb\\rc");
    }

    #[test]
    fn g21_16_kib_of_a_call_are_kept() {
        let output = Output::new("x.wasm".into(), "1".into());
        output.write_bytes(&[b'x'; 1_000_000]);
        assert_eq!(lock(&output.shared.text).left, 0);
        assert!(lock(&output.shared.text).line.is_empty());
    }
}
