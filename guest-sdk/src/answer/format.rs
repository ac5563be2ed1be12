//! One answer in several formats, chosen by the client's `accept` header (RFC 9110, section 12.5.1).

use std::fmt;

use super::{Html, IntoResponse, Response};
use crate::error::{Failure, Result};
use crate::extract::Json;
use crate::request::Request;

/// Answers in the format that the client prefers.
///
/// Among formats that the client prefers equally the first one is chosen, so offer JSON first to make it the default.
/// Only the chosen format is made.
///
/// ```
/// use hitchy_guest::{Request, Response, Result, format};
/// use serde_json::json;
///
/// fn show(request: Request) -> Result<Response> {
///     let name = "Ada";
///     format(&request)
///         .json(|| json!({ "name": name }))
///         .html(|| format!("<h1>{name}</h1>"))
///         .form("text/csv", || format!("name\n{name}\n"))
///         .respond()
/// }
/// # hitchy_guest::App::new().get("/show", show);
/// ```
pub fn format<'a>(request: &Request) -> Format<'a> {
    let accept = request.handle().header("accept").join(",");
    Format {
        accept,
        offered: Vec::new(),
        best: None,
    }
}

/// An answer in several formats, made by [`format()`].
#[must_use = "nothing is answered until `respond` is called"]
pub struct Format<'a> {
    accept: String,
    offered: Vec<&'static str>,
    /// The offered format with the highest quality so far: its quality, and the function that makes it.
    best: Option<(u16, Form<'a>)>,
}

/// Function that makes the response in one format.
type Form<'a> = Box<dyn FnOnce() -> Result<Response> + 'a>;

impl<'a> Format<'a> {
    /// Offers JSON, `application/json`, of any type that serde can serialise.
    pub fn json<T: serde::Serialize>(self, make: impl FnOnce() -> T + 'a) -> Self {
        self.form("application/json", || Json(make()))
    }

    /// Offers HTML with the media type `text/html`.
    pub fn html<T: Into<String>>(self, make: impl FnOnce() -> T + 'a) -> Self {
        self.form("text/html", || Html(make()))
    }

    /// Offers plain text with the media type `text/plain`.
    pub fn text<T: Into<String>>(self, make: impl FnOnce() -> T + 'a) -> Self {
        self.form("text/plain", || make().into())
    }

    /// Offers another format, named by its media type.
    pub fn form<T: IntoResponse>(
        mut self,
        media_type: &'static str,
        make: impl FnOnce() -> T + 'a,
    ) -> Self {
        self.offered.push(media_type);
        let quality = quality_of(&self.accept, media_type);
        if quality > self.best.as_ref().map_or(0, |(best, _)| *best) {
            let make = move || {
                make()
                    .into_response()
                    .map(|response| with_content_type(response, media_type))
            };
            self.best = Some((quality, Box::new(make)));
        }
        self
    }

    /// Makes the format that the client prefers.
    ///
    /// # Errors
    /// Returns 406 when the client accepts none of the formats. The message lists the offered formats.
    pub fn respond(self) -> Result<Response> {
        let Some((_, make)) = self.best else {
            return Err(
                Failure::new(406, format!("available as {}", self.offered.join(", "))).into(),
            );
        };
        Ok(make()?.with_header("vary", "accept"))
    }
}

impl fmt::Debug for Format<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format({:?} for {})", self.offered, self.accept)
    }
}

/// Sets the content-type, unless the response already has this media type with parameters of its own.
fn with_content_type(response: Response, media_type: &str) -> Response {
    let fits = response
        .header("content-type")
        .is_some_and(|own| own.starts_with(media_type));
    if fits {
        response
    } else {
        response.with_header("content-type", media_type)
    }
}

/// Returns the quality that a client gives to a media type, from 0 (not acceptable) to 1000. The most specific media
/// range decides.
fn quality_of(accept: &str, media_type: &str) -> u16 {
    if accept.trim().is_empty() {
        return 1000;
    }
    let ranges = accept
        .split(',')
        .map(|range| range.split(';').map(str::trim));
    let fitting = ranges
        .filter_map(|mut parts| Some((specificity(parts.next()?, media_type)?, quality(parts))));
    fitting
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0, |(_, quality)| quality)
}

/// Returns 2 for the media type itself, 1 for `type/*`, 0 for `*/*`, and `None` for a range that does not match.
fn specificity(range: &str, media_type: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(2);
    }
    let (kind, "*") = range.split_once('/')? else {
        return None;
    };
    let (wanted, _) = media_type.split_once('/')?;
    match kind {
        "*" => Some(0),
        kind => kind.eq_ignore_ascii_case(wanted).then_some(1),
    }
}

/// Returns the quality of a media range in thousandths: `q=0.8` is 800, and no `q` is 1000.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u16 {
    let Some(value) = parameters.find_map(|parameter| {
        parameter
            .strip_prefix("q=")
            .or(parameter.strip_prefix("Q="))
    }) else {
        return 1000;
    };
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if whole != "0" {
        return 1000;
    }
    format!("{decimals:0<3.3}").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Result<String> {
        let format = Format {
            accept: accept.to_owned(),
            offered: Vec::new(),
            best: None,
        };
        let response = format
            .json(|| 1)
            .html(|| "<p>")
            .form("text/csv", || "a,b")
            .respond()?;
        Ok(response
            .header("content-type")
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    #[test]
    fn the_first_form_is_the_default() {
        assert_eq!(chosen("").unwrap(), "application/json");
        assert_eq!(chosen("*/*").unwrap(), "application/json");
    }

    #[test]
    fn the_client_chooses() {
        assert_eq!(
            chosen("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8").unwrap(),
            "text/html"
        );
        assert_eq!(chosen("text/*").unwrap(), "text/html");
        assert_eq!(chosen("text/*, text/html;q=0.1").unwrap(), "text/csv");
        assert_eq!(
            chosen("application/json;q=0.25, text/html;q=0.3").unwrap(),
            "text/html"
        );
        assert_eq!(chosen("*/*, application/json;q=0").unwrap(), "text/html");
    }

    #[test]
    fn what_it_likes_is_not_there() {
        let error = chosen("image/png").unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(
            (failure.code(), failure.message()),
            (406, "available as application/json, text/html, text/csv")
        );
    }
}
