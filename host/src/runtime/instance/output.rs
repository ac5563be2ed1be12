//! Output of guests, which goes to the server's log.
//!
//! Each printed line is one record with the handler's name and the call's id. At most 16 KiB of a call are logged.
//! Lines of standard error, which panics use, are logged as warnings.

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
use crate::runtime::last_error::LastError;
use crate::runtime::source_map::SourceMap;
use crate::text::visible;

/// Bytes of output of one call that are logged.
const MAX_OUTPUT: usize = 16 * 1024;
/// Bytes that a log record counts at least against [`MAX_OUTPUT`], so that many short records count too.
const MIN_RECORD: usize = 64;
/// Longest line in bytes. A longer line is logged in pieces.
const MAX_LINE: usize = 4 * 1024;

/// The start of the advice that Rust prints after a panic. It is not logged, because guests have no environment
/// variables and the log contains the stack in any case.
const BACKTRACE_ADVICE: &[u8] = b"note: run with `RUST_BACKTRACE=1` environment variable";

/// The output of an instance. Clones share their buffers.
#[derive(Clone)]
pub(in crate::runtime) struct Output {
    handler: Arc<str>,
    /// The places of the handler's bundle, which its errors name.
    source_map: Option<Arc<SourceMap>>,
    buffers: Arc<Mutex<Buffers>>,
}

struct Buffers {
    /// The call that runs, or the last one that ran.
    call: CallId,
    /// The unfinished lines of standard output and of standard error.
    lines: [Vec<u8>; 2],
    /// Bytes that the call may still log.
    left: usize,
    last_error: Option<LastError>,
}

/// Standard output or standard error of an instance.
#[derive(Clone)]
pub(in crate::runtime) struct Stream {
    output: Output,
    is_error: bool,
}

impl Output {
    /// Makes the output of a new instance, with its first call.
    pub(super) fn new(
        handler: Arc<str>,
        source_map: Option<Arc<SourceMap>>,
        call: CallId,
        last_error: Option<LastError>,
    ) -> Self {
        let buffers = Mutex::new(Buffers {
            call,
            lines: Default::default(),
            left: MAX_OUTPUT,
            last_error,
        });
        Self {
            handler,
            source_map,
            buffers: Arc::new(buffers),
        }
    }

    /// Returns the path of the handler's file below the folder of handlers.
    pub(in crate::runtime) fn handler(&self) -> &Arc<str> {
        &self.handler
    }

    /// Returns the stream of standard output or standard error.
    pub(super) fn stream(&self, is_error: bool) -> Stream {
        Stream {
            output: self.clone(),
            is_error,
        }
    }

    /// Begins another call in the same instance, which may log [`MAX_OUTPUT`] bytes again.
    pub(super) fn begin(&self, call: CallId, last_error: Option<LastError>) {
        let mut buffers = lock(&self.buffers);
        buffers.call = call;
        buffers.left = MAX_OUTPUT;
        buffers.last_error = last_error;
    }

    /// Adds bytes to standard output or standard error, and logs the lines that are complete.
    pub(in crate::runtime) fn print(&self, bytes: &[u8], is_error: bool) {
        let Buffers {
            call, lines, left, ..
        } = &mut *lock(&self.buffers);
        if *left == 0 {
            return;
        }
        let kept = &bytes[..bytes.len().min(*left)];
        *left -= kept.len();
        let line = &mut lines[usize::from(is_error)];
        for &byte in kept {
            if byte == b'\n' || line.len() >= MAX_LINE {
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

    /// Logs a message with a level that the guest chose. In errors, places of the handler's bundle become those of its
    /// files.
    pub(in crate::runtime) fn record(&self, level: Level, message: &str) {
        let is_error = matches!(level, Level::WARN | Level::ERROR);
        let message = match self.source_map.as_ref().filter(|_| is_error) {
            Some(map) => map.resolve(&self.handler, message),
            None => message.into(),
        };
        let Buffers {
            call,
            left,
            last_error,
            ..
        } = &mut *lock(&self.buffers);
        let kept = &message[..message.floor_char_boundary(*left)];
        if *left == 0 {
            return;
        }
        if let Some(last_error) = last_error
            && level == Level::ERROR
        {
            last_error.note(kept);
        }
        *left = left.saturating_sub(kept.len().max(MIN_RECORD));
        self.log_text(call, level, kept);
    }

    /// Logs unfinished lines at the end of a call.
    pub(super) fn finish(&self) {
        let Buffers { call, lines, .. } = &mut *lock(&self.buffers);
        let [out, error] = lines;
        self.log_line(call, out, false);
        self.log_line(call, error, true);
    }

    /// Logs a line if it contains anything of interest, and clears it.
    fn log_line(&self, call: &CallId, line: &mut Vec<u8>, is_error: bool) {
        let is_advice = is_error && line.starts_with(BACKTRACE_ADVICE);
        if !line.trim_ascii().is_empty() && !is_advice {
            let level = if is_error { Level::WARN } else { Level::INFO };
            self.log_text(call, level, &String::from_utf8_lossy(line));
        }
        line.clear();
    }

    /// Logs a text with the handler's name and the call's id. Control characters are made visible.
    fn log_text(&self, call: &CallId, level: Level, text: &str) {
        let (handler, text) = (visible(&self.handler), visible(text));
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
        let output = Output::new("x.wasm".into(), None, "1".into(), None);
        output.print(&[b'x'; 1_000_000], false);
        assert_eq!(lock(&output.buffers).left, 0);
        assert!(lock(&output.buffers).lines[0].is_empty());
    }
}
