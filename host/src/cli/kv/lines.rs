//! The lines of an export: JSON objects with bucket, key, and the value as text, or in base64 if it is not text.

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use crate::kv::Binary;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    bucket: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<Binary>,
}

impl Line {
    /// Makes the line of a key.
    pub(super) fn new(bucket: &str, key: String, value: Vec<u8>) -> Self {
        let (value, base64) = match String::from_utf8(value) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(Binary(error.into_bytes()))),
        };
        Self {
            bucket: bucket.to_owned(),
            key,
            value,
            base64,
        }
    }

    /// Returns the line with its end.
    pub(super) fn text(&self) -> String {
        // Texts always serialise.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Returns bucket, key and value.
    ///
    /// # Errors
    /// The line has no value, or two.
    pub(super) fn parts(self) -> anyhow::Result<(String, String, Vec<u8>)> {
        let value = match (self.value, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(Binary(bytes))) => bytes,
            _ => return Err(anyhow!("a key has either a value or base64")),
        };
        Ok((self.bucket, self.key, value))
    }
}
