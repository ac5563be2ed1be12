//! Serves folders of static files: the folder `server.public` where no route matches, and the files of the official client.
//!
//! tower-http does the work: content types, validators, ranges and compressed copies. The code here restricts
//! which files are served and shapes the responses.
//!
//! A path with a slash at its end never names a file. A request for a folder without the slash at its end is
//! redirected to the path with it, because relative links in the page would lead elsewhere. Routes and policies do not
//! distinguish the two.

pub(super) mod client_bundle;
mod confined;

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::Path;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, header,
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tower_http::services::ServeDir;
use tower_http::services::fs::{DefaultServeDirFallback, ServeFileSystemResponseBody};

use self::confined::Confined;
use super::http::headers::content_length;
use crate::dispatch::{Files, error_response};
use crate::message::{Body, Pieces, Request, Response};
use crate::metrics::Counter;
use crate::payload::Failure;

/// The headers of a request that are passed to tower-http, besides `range`.
const PASSED_HEADERS: [HeaderName; 5] = [
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// A served folder.
pub(super) struct Folder {
    files: ServeDir<DefaultServeDirFallback, Confined>,
    unreadable: Counter,
}

/// A request for a file of a folder.
pub(super) struct FileRequest<'a> {
    /// Id of the call, for the log and for errors.
    pub(super) id: &'a str,
    /// Either GET or HEAD.
    pub(super) method: &'a Method,
    /// Path below the folder, in normal form and without a slash at its end.
    pub(super) path: &'a str,
    /// True if the path was sent with a slash at its end.
    pub(super) slash: bool,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

/// A response of tower-http.
type FileResponse = axum::http::Response<ServeFileSystemResponseBody>;

impl Files for Folder {
    fn find<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>> {
        let wanted = FileRequest {
            id: &request.id,
            method: &request.method,
            path: &request.target.path,
            slash: request.target.slash,
            query: request.target.query.as_deref(),
            headers: &request.headers,
        };
        Box::pin(async move { self.get(&wanted).await })
    }
}

impl Folder {
    /// Serves the folder `dir`, which need not exist yet.
    pub(super) fn new(dir: &Path) -> Self {
        let files = ServeDir::with_backend(dir, Confined::new(dir))
            .precompressed_br()
            .precompressed_gzip()
            .ignore_multi_range_requests(true);
        Self {
            files,
            unreadable: Counter::default(),
        }
    }

    /// Returns the response with a file; none if the file does not exist or may not be served.
    pub(super) async fn get(&self, wanted: &FileRequest<'_>) -> Option<Response> {
        if !may_be_served(wanted.path) {
            return None;
        }
        let range = wanted.range();
        let mut found = self.find(wanted, range).await?;
        if range.is_some() && (!matches_if_range(wanted.headers, &found) || is_empty_part(&found)) {
            found = self.find(wanted, None).await?;
        }
        answer(wanted, found)
    }

    /// Finds a file or its compressed copy. Falls back to the file itself if the compressed copy cannot be read.
    async fn find(
        &self,
        wanted: &FileRequest<'_>,
        range: Option<&HeaderValue>,
    ) -> Option<FileResponse> {
        let mut request = HttpRequest::new(());
        request.method_mut().clone_from(wanted.method);
        *request.uri_mut() = wanted.path_with_slash().parse().ok()?;
        for name in PASSED_HEADERS {
            for value in wanted.headers.get_all(&name) {
                request.headers_mut().append(name.clone(), value.clone());
            }
        }
        if let Some(range) = range {
            request.headers_mut().insert(header::RANGE, range.clone());
        }
        let mut plain = request.clone();
        let is_plain = plain
            .headers_mut()
            .remove(header::ACCEPT_ENCODING)
            .is_none();
        match self.files.clone().try_call(request).await {
            Ok(found) => return Some(found),
            Err(error) => self.log(wanted, &error),
        }
        if is_plain {
            return None;
        }
        self.files.clone().try_call(plain).await.ok()
    }

    /// Logs a file that exists and cannot be served. Files that do not exist are not logged.
    fn log(&self, wanted: &FileRequest<'_>, error: &io::Error) {
        use ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
        if matches!(
            error.kind(),
            NotFound | NotADirectory | InvalidFilename | InvalidInput
        ) {
            return;
        }
        if let Some(total) = self.unreadable.count() {
            tracing::warn!(
                call = %wanted.id,
                "the file of {:?} is not served: {error}; {total} such requests so far", wanted.path
            );
        }
    }
}

impl FileRequest<'_> {
    /// Returns the requested range of bytes. Ranges of other units, and of methods other than GET, are ignored
    /// (RFC 9110, 14.2).
    fn range(&self) -> Option<&HeaderValue> {
        let range = self.headers.get(header::RANGE)?;
        let is_bytes = range.as_bytes().starts_with(b"bytes=");
        (is_bytes && self.method == Method::GET).then_some(range)
    }

    fn path_with_slash(&self) -> Cow<'_, str> {
        if self.slash && self.path != "/" {
            Cow::Owned(format!("{}/", self.path))
        } else {
            Cow::Borrowed(self.path)
        }
    }

    /// Returns the value of `location` for a folder's page: the same path and query, with a slash after the path.
    fn location_of_page(&self) -> Option<HeaderValue> {
        let query = self.query.map(|query| format!("?{query}"));
        let location = format!("{}/{}", self.path, query.unwrap_or_default());
        HeaderValue::from_str(&location).ok()
    }
}

/// Returns true if none of the segments of a path is hidden, and each segment is one name.
///
/// Paths are decoded as tower-http decodes them. An encoded `/` is refused because policies did not see it as a
/// separator.
fn may_be_served(path: &str) -> bool {
    path.split('/').skip(1).enumerate().all(|(depth, segment)| {
        let Ok(name) = percent_decode_str(segment).decode_utf8() else {
            return false;
        };
        // RFC 8615 reserves this name at the root only.
        let is_hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
        !is_hidden && !name.contains(['/', '\\', '\0'])
    })
}

/// Returns true if the file is the version that `if-range` names (RFC 9110, 13.1.5), or there is no such header.
///
/// tower-http 0.7 ignores `if-range`.
fn matches_if_range(headers: &HeaderMap, found: &FileResponse) -> bool {
    let Some(version) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let has = |name| found.headers().get(name) == Some(version);
    has(header::ETAG) || has(header::LAST_MODIFIED)
}

/// Returns true for a partial response without bytes. For an empty file
/// tower-http answers 206 with a range that `content-range` cannot express.
fn is_empty_part(found: &FileResponse) -> bool {
    found.status() == StatusCode::PARTIAL_CONTENT && content_length(found.headers()) == Some(0)
}

/// Converts a response of tower-http; none if there is no such file.
fn answer(wanted: &FileRequest<'_>, found: FileResponse) -> Option<Response> {
    let (parts, body) = found.into_parts();
    let mut headers = parts.headers;
    let length = content_length(&headers);
    headers.remove(header::CONTENT_LENGTH);
    let mut response: Response = match parts.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            add_charset(&mut headers);
            let content = match length {
                Some(length) if wanted.method == Method::HEAD => {
                    Body::Stream(Pieces::unsent(length))
                }
                Some(0) => Body::empty(),
                length => Body::Stream(Pieces::new(length, body.into_data_stream())),
            };
            bodiless(parts.status).with(content)
        }
        StatusCode::NOT_MODIFIED => bodiless(parts.status).with(Body::empty()),
        StatusCode::TEMPORARY_REDIRECT => {
            headers.insert(header::LOCATION, wanted.location_of_page()?);
            bodiless(parts.status).with(Body::empty())
        }
        StatusCode::PRECONDITION_FAILED => failed(
            wanted,
            parts.status,
            "the file is not the version that was asked for",
        ),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            headers.remove(header::ETAG);
            headers.remove(header::LAST_MODIFIED);
            failed(wanted, parts.status, "the file has no such range of bytes")
        }
        _ => return None,
    };
    response.headers.extend(headers);
    add_common_headers(&mut response.headers);
    Some(response)
}

/// Returns a response without headers and body.
fn bodiless(status: StatusCode) -> Response<()> {
    Response {
        status,
        headers: HeaderMap::new(),
        body: (),
    }
}

fn failed(wanted: &FileRequest<'_>, status: StatusCode, sentence: &str) -> Response {
    error_response(wanted.id, &Failure::new(status.as_u16(), sentence)).into()
}

/// Adds the charset UTF-8 to the content type of text, because browsers assume another one.
fn add_charset(headers: &mut HeaderMap) {
    let Some(kind) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return;
    };
    let is_text = kind.starts_with("text/") || kind == "application/javascript";
    if is_text && let Ok(value) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        headers.insert(header::CONTENT_TYPE, value);
    }
}

/// Adds the headers that every response with a file has.
///
/// Caches keep a copy but revalidate it before each use, so that a change shows at the next reload of a page.
/// Browsers do not guess the type. The response varies with the accepted encodings.
fn add_common_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept-encoding"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_not_hidden_are_files() {
        for path in [
            "/",
            "/a",
            "/a/b.js",
            "/a%20b",
            "/%C3%BC",
            "/%252F",
            "/.well-known/x",
            "/a..b",
        ] {
            assert!(may_be_served(path), "{path}");
        }
        for path in [
            "/.env",
            "/a/.git/config",
            "/%2Eenv",
            "/a%2Fb",
            "/a%2fb",
            "/%2E%2E/a",
            "/a%5Cb",
            "/a%00",
            "/a/.well-known/x",
            "/.well-known/.x",
            "/%FF",
            "/..%2Fa",
        ] {
            assert!(!may_be_served(path), "{path}");
        }
    }
}
