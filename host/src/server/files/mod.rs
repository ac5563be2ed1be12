//! A folder of files, handed out as they are: what `server.public` serves below the routes, and the files of the official client.
//! tower-http knows how (types, validators, ranges, compressed copies); here is what it must not do, and what answers look like.
//!
//! A file's path that ends with a slash is no file, as on other servers; a folder's page whose path lacks it is a redirect to the path
//! with it, since relative links in the page would lead elsewhere. Routes and policies know no such difference.

pub(in crate::server) mod client_bundle;
mod confined;

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::path::Path;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request as Asked, StatusCode, header,
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tower_http::services::ServeDir;
use tower_http::services::fs::{DefaultServeDirFallback, ServeFileSystemResponseBody};

use crate::dispatch::{Files, error_response};
use crate::message::{Body, Pieces, Request, Response};
use crate::metrics::Counter;
use crate::payload::Failure;
use crate::server::files::confined::Confined;

/// What a request may say of the file it wants; nothing else reaches tower-http.
const CONDITIONS: [HeaderName; 5] = [
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// A folder that is served.
pub(in crate::server) struct Folder {
    files: ServeDir<DefaultServeDirFallback, Confined>,
    unreadable: Counter,
}

/// Which file, and how.
pub(in crate::server) struct Wanted<'a> {
    /// Names the call.
    pub(in crate::server) id: &'a str,
    /// GET or HEAD.
    pub(in crate::server) method: &'a Method,
    /// In normal form.
    pub(in crate::server) path: &'a str,
    /// Whether it was written with a slash at its end.
    pub(in crate::server) slash: bool,
    pub(in crate::server) query: Option<&'a str>,
    pub(in crate::server) headers: &'a HeaderMap,
}

type Found = axum::http::Response<ServeFileSystemResponseBody>;

impl Files for Folder {
    fn find<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>> {
        let wanted = Wanted {
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
    /// The folder need not be there yet.
    pub(in crate::server) fn new(dir: &Path) -> Self {
        let files = ServeDir::with_backend(dir, Confined::new(dir))
            .precompressed_br()
            .precompressed_gzip()
            .ignore_multi_range_requests(true);
        Self {
            files,
            unreadable: Counter::default(),
        }
    }

    /// The answer with a file; none when there is no such file, or none that may be served.
    pub(in crate::server) async fn get(&self, wanted: &Wanted<'_>) -> Option<Response> {
        if !may_be_served(wanted.path) {
            return None;
        }
        let range = wanted.range();
        let mut found = self.find(wanted, range).await?;
        if range.is_some() && (!is_for_this_version(wanted.headers, &found) || is_empty(&found)) {
            found = self.find(wanted, None).await?;
        }
        answer(wanted, found)
    }

    /// The file, compressed if the client can read that. A compressed copy that cannot be read hides nothing.
    async fn find(&self, wanted: &Wanted<'_>, range: Option<&HeaderValue>) -> Option<Found> {
        let mut asked = Asked::new(());
        asked.method_mut().clone_from(wanted.method);
        *asked.uri_mut() = wanted.path_with_slash().parse().ok()?;
        for name in CONDITIONS {
            for value in wanted.headers.get_all(&name) {
                asked.headers_mut().append(name.clone(), value.clone());
            }
        }
        if let Some(range) = range {
            asked.headers_mut().insert(header::RANGE, range.clone());
        }
        let mut plain = asked.clone();
        let is_plain = plain
            .headers_mut()
            .remove(header::ACCEPT_ENCODING)
            .is_none();
        match self.files.clone().try_call(asked).await {
            Ok(found) => return Some(found),
            Err(error) => self.log(wanted, &error),
        }
        if is_plain {
            return None;
        }
        self.files.clone().try_call(plain).await.ok()
    }

    /// What is not there is nothing to speak of.
    fn log(&self, wanted: &Wanted<'_>, error: &io::Error) {
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

impl Wanted<'_> {
    /// Which part, if one of a known kind: others are passed over, as ranges of anything but GET are (RFC 9110, 14.2).
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

    /// Where a folder's page is: links in it are relative to the folder only when its path ends with a slash.
    fn folder(&self) -> Option<HeaderValue> {
        let query = self.query.map(|query| format!("?{query}"));
        let location = format!("{}/{}", self.path, query.unwrap_or_default());
        HeaderValue::from_str(&location).ok()
    }
}

/// Whether a path may name a file: none of its segments is hidden, and each is one name. Paths are decoded here as tower-http decodes
/// them, so that a `/` that was encoded never separates: policies have not seen it so.
fn may_be_served(path: &str) -> bool {
    path.split('/').skip(1).enumerate().all(|(depth, segment)| {
        let Ok(name) = percent_decode_str(segment).decode_utf8() else {
            return false;
        };
        // RFC 8615: at the root only.
        let is_hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
        !is_hidden && !name.contains(['/', '\\', '\0'])
    })
}

/// Whether a part is one of the version that the client has parts of (RFC 9110, 13.1.5), which tower-http does not look at.
fn is_for_this_version(headers: &HeaderMap, found: &Found) -> bool {
    let Some(version) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let has = |name| found.headers().get(name) == Some(version);
    has(header::ETAG) || has(header::LAST_MODIFIED)
}

/// Whether it is a part without bytes: that of an empty file, which tower-http gives a range that cannot be written.
fn is_empty(found: &Found) -> bool {
    let length = found.headers().get(header::CONTENT_LENGTH);
    found.status() == StatusCode::PARTIAL_CONTENT && length.is_some_and(|length| length == "0")
}

/// What tower-http found, as one of our answers.
fn answer(wanted: &Wanted<'_>, found: Found) -> Option<Response> {
    let (parts, body) = found.into_parts();
    let mut headers = parts.headers;
    let length = headers.remove(header::CONTENT_LENGTH);
    let mut response: Response = match parts.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            say_charset(&mut headers);
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            let body = match length {
                Some(length) if wanted.method == Method::HEAD => {
                    Body::Stream(Pieces::unsent(length))
                }
                Some(0) => Body::empty(),
                _ => Body::Stream(Pieces::new(length, body.into_data_stream())),
            };
            bodiless(parts.status).with(body)
        }
        StatusCode::NOT_MODIFIED => bodiless(parts.status).with(Body::empty()),
        StatusCode::TEMPORARY_REDIRECT => {
            headers.insert(header::LOCATION, wanted.folder()?);
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
    dress(&mut response.headers);
    Some(response)
}

fn bodiless(status: StatusCode) -> Response<()> {
    Response {
        status,
        headers: HeaderMap::new(),
        body: (),
    }
}

fn failed(wanted: &Wanted<'_>, status: StatusCode, sentence: &str) -> Response {
    error_response(wanted.id, &Failure::new(status.as_u16(), sentence)).into()
}

/// Text is UTF-8, which browsers do not assume.
fn say_charset(headers: &mut HeaderMap) {
    let Some(kind) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
    else {
        return;
    };
    let is_text = kind.starts_with("text/") || kind == "application/javascript";
    if is_text && let Ok(kind) = HeaderValue::from_str(&format!("{kind}; charset=utf-8")) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
}

/// What is said of every file: a copy is kept, but asked about before each use, so that a change is seen at the next reload of a page;
/// its type is what it is said to be; it depends on what encodings are accepted.
fn dress(headers: &mut HeaderMap) {
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
