//! Logs the output of guests: one record for each line, with the handler's name and the call's id, 16 KiB for each
//! call. Standard error, where panics are printed, is logged as a warning.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::lock::lock;
use crate::message::CallId;
use crate::text::visible;

/// Bytes of output of one call that are kept.
const KEPT: usize = 16 * 1024;
/// Bytes that a record counts at least.
const RECORD: usize = 64;
/// A line longer than this is logged in pieces.
const LINE: usize = 4 * 1024;

/// The advice that Rust prints after a panic, which nobody can follow: guests have no environment, and the log shows
/// the stack anyway.
const BACKTRACE: &[u8] = b"note: run with `RUST_BACKTRACE=1` environment variable";

/// The output of one call.
#[derive(Clone)]
pub(in crate::runtime) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    handler: Arc<str>,
    text: Mutex<Text>,
}

struct Text {
    /// The call that runs, or ran last.
    call: CallId,
    /// The lines that have not ended yet: of standard output and of standard error.
    lines: [Vec<u8>; 2],
    /// Bytes of output that are still kept.
    left: usize,
}

/// The standard output or standard error of a guest.
#[derive(Clone)]
pub(in crate::runtime) struct Stream {
    output: Output,
    is_error: bool,
}

impl Output {
    /// Makes the output of a call.
    pub(super) fn new(handler: Arc<str>, call: CallId) -> Self {
        let text = Mutex::new(Text {
            call,
            lines: Default::default(),
            left: KEPT,
        });
        Self {
            shared: Arc::new(Shared { handler, text }),
        }
    }

    /// Returns the guest's standard output, or its standard error.
    pub(super) fn stream(&self, is_error: bool) -> Stream {
        Stream {
            output: self.clone(),
            is_error,
        }
    }

    /// Begins another call of the same instance, which may print as much again.
    pub(super) fn begin(&self, call: CallId) {
        let mut text = lock(&self.shared.text);
        text.call = call;
        text.left = KEPT;
    }

    /// Prints to the guest's standard output, or to its standard error.
    pub(in crate::runtime) fn print(&self, bytes: &[u8], is_error: bool) {
        let Text { call, lines, left } = &mut *lock(&self.shared.text);
        if *left == 0 {
            return;
        }
        let kept = &bytes[..bytes.len().min(*left)];
        *left -= kept.len();
        let line = &mut lines[usize::from(is_error)];
        for &byte in kept {
            if byte == b'\n' || line.len() >= LINE {
                self.log_line(call, line, is_error);
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
        if *left == 0 {
            line.extend_from_slice(b" (the rest of this call's output is left out)");
            self.log_line(call, line, is_error);
        }
    }

    /// Logs a message of the guest's own level.
    pub(in crate::runtime) fn record(&self, level: Level, message: &str) {
        let Text { call, left, .. } = &mut *lock(&self.shared.text);
        let kept = &message[..message.floor_char_boundary(*left)];
        if *left == 0 {
            return;
        }
        *left = left.saturating_sub(kept.len().max(RECORD));
        self.log_text(call, level, kept);
    }

    /// Logs what has no line end yet, because the call is over.
    pub(super) fn finish(&self) {
        let Text { call, lines, .. } = &mut *lock(&self.shared.text);
        let [out, error] = lines;
        self.log_line(call, out, false);
        self.log_line(call, error, true);
    }

    fn log_line(&self, call: &CallId, line: &mut Vec<u8>, is_error: bool) {
        let is_advice = is_error && line.starts_with(BACKTRACE);
        if !line.trim_ascii().is_empty() && !is_advice {
            let level = if is_error { Level::WARN } else { Level::INFO };
            self.log_text(call, level, &String::from_utf8_lossy(line));
        }
        line.clear();
    }

    fn log_text(&self, call: &CallId, level: Level, text: &str) {
        let (handler, text) = (visible(&self.shared.handler), visible(text));
        match level {
            Level::ERROR => tracing::error!(target: "guest", %handler, %call, "{text}"),
            Level::WARN => tracing::warn!(target: "guest", %handler, %call, "{text}"),
            Level::INFO => tracing::info!(target: "guest", %handler, %call, "{text}"),
            Level::DEBUG => tracing::debug!(target: "guest", %handler, %call, "{text}"),
            Level::TRACE => tracing::trace!(target: "guest", %handler, %call, "{text}"),
        }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.print(&bytes, self.is_error);
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
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.output.print(bytes, self.is_error);
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
    fn g21_16_kib_of_a_call_are_kept() {
        let output = Output::new("x.wasm".into(), "1".into());
        output.print(&[b'x'; 1_000_000], false);
        assert_eq!(lock(&output.shared.text).left, 0);
        assert!(lock(&output.shared.text).lines[0].is_empty());
    }
}
