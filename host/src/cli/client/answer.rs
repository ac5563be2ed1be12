//! The answer to a request, the same whichever door it came through, and how it is printed.

use anyhow::anyhow;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;
use super::screen::{self, Colour, Unwritten, coloured};
use crate::cli::report::Output;
use crate::config::SetCookie;
use crate::message::Response;
use crate::payload::{Payload, attachment, fields};
use crate::server::{AnswerBody, AnswerHeaders};
use crate::text::visible;

/// Status, headers and body.
pub(super) struct Answer {
    pub(super) status: u16,
    /// A JSON object: values are texts, or lists of texts.
    headers: String,
    body: Body,
}

enum Body {
    None,
    Json(String),
    Text(String),
    Bytes(Bytes),
}

impl Body {
    /// Of a JSON value that is no placeholder.
    fn of_json(raw: &RawValue) -> Self {
        match raw.get() {
            "null" => Self::None,
            text if text.starts_with('"') => {
                Self::Text(serde_json::from_str(text).unwrap_or_default())
            }
            text => Self::Json(text.to_owned()),
        }
    }
}

impl Answer {
    /// Of an answer over HTTP: read as the other door would have sent it.
    pub(super) fn of_response(response: &Response<Bytes>) -> Self {
        let headers = AnswerHeaders {
            headers: &response.headers,
            set_cookie: SetCookie::Pass,
        };
        let body = match AnswerBody::of(response) {
            AnswerBody::None => Body::None,
            AnswerBody::Json(raw) => Body::of_json(raw),
            AnswerBody::Text(text) => Body::Text(text.to_owned()),
            AnswerBody::Bytes(_) => Body::Bytes(response.body.clone()),
        };
        Self {
            status: response.status.as_u16(),
            headers: serde_json::to_string(&headers).unwrap_or_else(|_| "{}".to_owned()),
            body,
        }
    }

    /// Of an ack.
    pub(super) fn of_ack(ack: &Payload) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Acked<'a> {
            status_code: u16,
            #[serde(borrow)]
            headers: &'a RawValue,
            #[serde(borrow, default)]
            body: Option<&'a RawValue>,
        }
        let strange = || {
            anyhow!(
                "the answer is none of Hitchy's: {}",
                json::array(ack, json::Binary::Size)
            )
        };
        let elements: Vec<&RawValue> = serde_json::from_str(&ack.json)?;
        let first = elements.first().ok_or_else(strange)?;
        let acked: Acked<'_> = serde_json::from_str(first.get()).map_err(|_| strange())?;
        let body = match acked.body {
            None => Body::None,
            Some(raw) => match attachment(raw, ack.attachments.len()) {
                Ok(Some(index)) => Body::Bytes(ack.attachments[index].clone()),
                Ok(None) => Body::of_json(raw),
                Err(_) => return Err(strange()),
            },
        };
        Ok(Self {
            status: acked.status_code,
            headers: acked.headers.get().to_owned(),
            body,
        })
    }

    /// Prints it: the body to standard output, with `include` after status and headers, which else is a line on
    /// standard error.
    pub(super) fn print(&self, output: Output, include: bool) -> Result<(), Unwritten> {
        if output == Output::Json {
            return screen::line(&self.line());
        }
        if include {
            screen::line(&coloured(&self.status_line(), self.colour()))?;
            self.print_headers()?;
        } else {
            let line = self.status_line();
            screen::note(&screen::coloured_note(&line, self.colour()));
        }
        self.print_body()
    }

    /// One line of JSON.
    fn line(&self) -> String {
        let body = match &self.body {
            Body::None => "null".to_owned(),
            Body::Json(text) => json::compact(text),
            Body::Text(text) => json::string(text),
            Body::Bytes(bytes) => json::base64(bytes),
        };
        let (status, headers) = (self.status, json::compact(&self.headers));
        format!(r#"{{"statusCode":{status},"headers":{headers},"body":{body}}}"#)
    }

    fn status_line(&self) -> String {
        let status = StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        format!("{} {}", self.status, reason.unwrap_or_default())
            .trim_end()
            .to_owned()
    }

    fn colour(&self) -> Colour {
        match self.status {
            ..300 => Colour::Good,
            300..400 => Colour::Odd,
            _ => Colour::Bad,
        }
    }

    fn print_headers(&self) -> Result<(), Unwritten> {
        for (name, value) in fields(&self.headers).unwrap_or_default() {
            let values: Vec<String> = match serde_json::from_str(value.get()) {
                Ok(value) => vec![value],
                Err(_) => serde_json::from_str(value.get()).unwrap_or_default(),
            };
            for value in values {
                let name = coloured(&visible(&name), Colour::Name);
                screen::line(&format!("{name}: {}", visible(&value)))?;
            }
        }
        screen::line("")
    }

    /// Writes a body that is not JSON as it is, if standard output is not a terminal.
    fn print_body(&self) -> Result<(), Unwritten> {
        match &self.body {
            Body::None => Ok(()),
            Body::Json(text) => screen::line(&json::pretty(text)),
            Body::Text(text) if screen::is_terminal() => text
                .lines()
                .try_for_each(|line| screen::line(&visible(line))),
            Body::Text(text) => screen::write(text.as_bytes()),
            Body::Bytes(bytes) if screen::is_terminal() => {
                let size = json::size(bytes.len());
                screen::line(&format!(
                    "{size}, not text; send them to a file with > FILE"
                ))
            }
            Body::Bytes(bytes) => screen::write(bytes),
        }
    }
}
