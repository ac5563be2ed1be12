//! The body of a request, from the flags of the command line to the form that each door needs. A handler receives the
//! same bytes and the same content type through both doors.

use anyhow::anyhow;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::args::read_file;
use crate::cli::error::CommandError;
use crate::cli::output::json;

/// The body of a request that is to be sent.
pub(super) enum Body {
    None,
    Json(String),
    Text(String),
    Bytes(Bytes),
}

impl Body {
    /// Reads the body from the flags, of which at most one is given.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(
        json: Option<String>,
        text: Option<String>,
        file: Option<&str>,
    ) -> Result<Self, CommandError> {
        Ok(match (json, text, file) {
            (Some(json), ..) => Self::Json(json),
            (_, Some(text), _) => Self::Text(text),
            (_, _, Some(file)) => Self::Bytes(read_file(file)?.into()),
            _ => Self::None,
        })
    }

    /// Sets the content type that fits the body, unless one was given. Without a body it removes the header.
    ///
    /// # Errors
    /// The given content type does not fit JSON.
    pub(super) fn set_content_type(&self, headers: &mut HeaderMap) -> Result<(), CommandError> {
        let usual = match self {
            Self::None => {
                headers.remove(CONTENT_TYPE);
                return Ok(());
            }
            Self::Json(_) => "application/json; charset=utf-8",
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Bytes(_) => "application/octet-stream",
        };
        let value = headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(usual));
        let lower = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let media_type = lower.split(';').next().unwrap_or_default().trim();
        if matches!(self, Self::Json(_)) && !matches!(media_type, "application/json" | "text/json")
        {
            let sentence = "--json goes with the content type application/json; leave the header out, or send the text with --body";
            return Err(CommandError::Usage(anyhow!(sentence)));
        }
        Ok(())
    }

    /// Returns the bytes to send over HTTP.
    pub(super) fn bytes(self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Json(text) | Self::Text(text) => Some(text.into()),
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    /// Returns the body for a packet: JSON text, and the attachment that a placeholder in it refers to.
    pub(super) fn packed(self) -> (String, Vec<Bytes>) {
        match self {
            Self::None => ("null".to_owned(), Vec::new()),
            // In a packet, a JSON string means a text body and null means no body. JSON that is one of these two is
            // sent as text with the content type of JSON, so that the handler receives the same bytes as over HTTP.
            Self::Json(text) if text.starts_with(['"', 'n']) => (json::string(&text), Vec::new()),
            Self::Json(text) => (text, Vec::new()),
            Self::Text(text) => (json::string(&text), Vec::new()),
            Self::Bytes(bytes) => (r#"{"_placeholder":true,"num":0}"#.to_owned(), vec![bytes]),
        }
    }
}
