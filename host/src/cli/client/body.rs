//! The body of a request, as the command line gives it and as each door takes it. A handler gets the same bytes and the
//! same content type through both.

use anyhow::anyhow;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::{json, read_file};
use crate::cli::CommandError;

/// The body to send.
pub(super) enum Body {
    None,
    /// JSON text.
    Json(String),
    Text(String),
    Bytes(Bytes),
}

impl Body {
    /// Of the flags, of which at most one is given.
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

    /// Sees to it that the content type fits the body: what was given stands, and without a body there is none.
    pub(super) fn describe(&self, headers: &mut HeaderMap) -> Result<(), CommandError> {
        let usual = match self {
            Self::None => {
                headers.remove(CONTENT_TYPE);
                return Ok(());
            }
            Self::Json(_) => "application/json; charset=utf-8",
            Self::Text(_) => "text/plain; charset=utf-8",
            Self::Bytes(_) => "application/octet-stream",
        };
        let given = headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(usual));
        let given = given.to_str().unwrap_or_default().to_ascii_lowercase();
        let media_type = given.split(';').next().unwrap_or_default().trim();
        if matches!(self, Self::Json(_)) && !matches!(media_type, "application/json" | "text/json")
        {
            let sentence = "--json goes with the content type application/json; leave the header out, or send the text with --body";
            return Err(CommandError::Usage(anyhow!(sentence)));
        }
        Ok(())
    }

    /// For HTTP.
    pub(super) fn bytes(self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Json(text) | Self::Text(text) => Some(text.into()),
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    /// For a packet: JSON text, and the attachment for which a placeholder stands in it.
    pub(super) fn packed(self) -> (String, Vec<Bytes>) {
        match self {
            Self::None => ("null".to_owned(), Vec::new()),
            // Over a socket a string is text, and null is no body. As text, with their content type, they are what they
            // are.
            Self::Json(text) if text.starts_with(['"', 'n']) => (json::string(&text), Vec::new()),
            Self::Json(text) => (text, Vec::new()),
            Self::Text(text) => (json::string(&text), Vec::new()),
            Self::Bytes(bytes) => (r#"{"_placeholder":true,"num":0}"#.to_owned(), vec![bytes]),
        }
    }
}
