//! Serves folders of static files: the folder `server.public` where no route matches, and the files of the official
//! client.
//!
//! A path with a slash at its end never names a file. A request for a folder without the slash at its end is redirected
//! to the path with it, because relative links in the page would lead elsewhere. Routes and policies do not distinguish
//! the two.

pub(super) mod client_bundle;
mod conditions;
mod confined;
mod content;
mod fallback;
mod lookup;
mod media_type;
mod preferences;
mod range;
mod version;

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use self::conditions::Outcome;
use self::confined::decoded;
use self::content::Contents;
use self::fallback::{Fallback, FallbackError};
use self::lookup::{Answered, LookedUp, Lookup, Selected};
use self::preferences::{encodings, is_page_wanted};
use self::range::Part;
use crate::dispatch::{Files, error_response};
use crate::message::{Body, Pieces, Request, Response};
use crate::metrics::Counter;
use crate::payload::Failure;

/// The number of bytes of a file that are read and sent at a time.
const PIECE: usize = 64 << 10;

/// A served folder.
pub(super) struct StaticFolder {
    root: Arc<Path>,
    contents: Arc<Contents>,
    unreadable: Counter,
    /// The page that answers where nothing else does.
    fallback: Option<Fallback>,
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

impl Files for StaticFolder {
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

    fn has_page(&self, request: &Request) -> bool {
        self.fallback.is_some() && fallback::is_path_of_page(&request.target.path)
    }

    fn page<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>> {
        Box::pin(async move {
            let fallback = self.fallback.as_ref()?;
            if !is_page_wanted(&request.headers) {
                return None;
            }
            let wanted = FileRequest {
                id: &request.id,
                method: &request.method,
                path: &fallback.path,
                slash: false,
                query: None,
                headers: &request.headers,
            };
            self.get(&wanted).await
        })
    }
}

impl StaticFolder {
    /// Serves the folder `dir`, which need not exist yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            root: Arc::from(dir),
            contents: Arc::default(),
            unreadable: Counter::default(),
            fallback: None,
        }
    }

    /// Serves the folder `dir` with a page that answers where nothing else does; none if `page` is empty.
    ///
    /// # Errors
    /// The page is not in the folder.
    pub(super) fn with_fallback(dir: &Path, page: &str) -> Result<Self, FallbackError> {
        let fallback = match page {
            "" => None,
            page => Some(Fallback::new(dir, page)?),
        };
        Ok(Self {
            fallback,
            ..Self::new(dir)
        })
    }

    /// Returns the response with a file; none if the file does not exist or may not be served.
    pub(super) async fn get(&self, wanted: &FileRequest<'_>) -> Option<Response> {
        let path = decoded(wanted.path)?;
        let LookedUp { found, error } = self.look_up(wanted, path).await;
        if let Some(error) = error {
            self.log(wanted, &error);
        }
        let mut response = match found? {
            Answered::Folder => redirect(wanted)?,
            Answered::File(selected) => answer(wanted, selected).await,
        };
        add_common_headers(&mut response.headers);
        Some(response)
    }

    /// Looks for a file on a blocking thread.
    async fn look_up(&self, wanted: &FileRequest<'_>, path: PathBuf) -> LookedUp {
        let (root, contents) = (Arc::clone(&self.root), Arc::clone(&self.contents));
        let slash = wanted.slash || wanted.path == "/";
        let encodings = encodings(wanted.headers);
        let task = tokio::task::spawn_blocking(move || {
            let lookup = Lookup {
                root: &root,
                path: &path,
                slash,
                encodings: &encodings,
                contents: &contents,
            };
            lookup.run()
        });
        task.await.unwrap_or_else(|error| LookedUp {
            found: None,
            error: Some(io::Error::other(error)),
        })
    }

    /// Logs a file that exists and cannot be served.
    fn log(&self, wanted: &FileRequest<'_>, error: &io::Error) {
        if let Some(total) = self.unreadable.count() {
            tracing::warn!(
                call = %wanted.id,
                "the file of {:?} is not served: {error}; {total} such requests so far", wanted.path
            );
        }
    }
}

impl FileRequest<'_> {
    /// Returns the value of `location` for a folder's page: the same path and query, with a slash after the path.
    fn location_of_page(&self) -> Option<HeaderValue> {
        let query = self.query.map(|query| format!("?{query}"));
        let location = format!("{}/{}", self.path, query.unwrap_or_default());
        HeaderValue::from_str(&location).ok()
    }
}

/// Returns the redirect from a folder to its page.
fn redirect(wanted: &FileRequest<'_>) -> Option<Response> {
    let mut response = bodiless(StatusCode::TEMPORARY_REDIRECT).with(Body::empty());
    let location = wanted.location_of_page()?;
    response.headers.insert(header::LOCATION, location);
    Some(response)
}

/// Answers with a file, a part of it, or why neither is sent.
async fn answer(wanted: &FileRequest<'_>, selected: Selected) -> Response {
    let version = &selected.version;
    match conditions::evaluate(wanted.headers, version) {
        Outcome::Send => {}
        Outcome::NotModified => {
            let mut response = bodiless(StatusCode::NOT_MODIFIED).with(Body::empty());
            version.add_to(&mut response.headers);
            return response;
        }
        Outcome::Failed => {
            let sentence = "the file is not the version that was asked for";
            return failed(wanted, StatusCode::PRECONDITION_FAILED, sentence);
        }
    }
    // Ranges are for GET (RFC 9110, 14.2).
    let is_ranged =
        wanted.method == Method::GET && conditions::is_range_wanted(wanted.headers, version);
    let part = if is_ranged {
        range::part(wanted.headers, selected.length)
    } else {
        Part::Whole
    };
    match part {
        Part::Whole => {
            let length = selected.length;
            send(wanted, selected, StatusCode::OK, 0, length).await
        }
        Part::Bytes { first, last } => {
            let content_range = format!("bytes {first}-{last}/{}", selected.length);
            let length = last - first + 1;
            let status = StatusCode::PARTIAL_CONTENT;
            let mut response = send(wanted, selected, status, first, length).await;
            insert(&mut response.headers, header::CONTENT_RANGE, content_range);
            response
        }
        Part::Nothing => {
            let sentence = "the file has no such range of bytes";
            let mut response = failed(wanted, StatusCode::RANGE_NOT_SATISFIABLE, sentence);
            let content_range = format!("bytes */{}", selected.length);
            insert(&mut response.headers, header::CONTENT_RANGE, content_range);
            response
        }
    }
}

/// Answers with `length` bytes of a file from `first` on.
async fn send(
    wanted: &FileRequest<'_>,
    selected: Selected,
    status: StatusCode,
    first: u64,
    length: u64,
) -> Response {
    let mut file = tokio::fs::File::from_std(selected.file);
    if first > 0
        && let Err(error) = file.seek(SeekFrom::Start(first)).await
    {
        let sentence = format!("the file cannot be read: {}", error.kind());
        return failed(wanted, StatusCode::INTERNAL_SERVER_ERROR, &sentence);
    }
    let body = match length {
        length if wanted.method == Method::HEAD => Body::Stream(Pieces::unsent(length)),
        0 => Body::empty(),
        length => {
            let pieces = ReaderStream::with_capacity(file.take(length), PIECE);
            Body::Stream(Pieces::new(Some(length), pieces))
        }
    };
    let mut response = bodiless(status).with(body);
    let headers = &mut response.headers;
    insert(headers, header::CONTENT_TYPE, selected.content_type);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(encoding) = selected.encoding {
        let name = HeaderValue::from_static(encoding.name());
        headers.insert(header::CONTENT_ENCODING, name);
    }
    selected.version.add_to(headers);
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
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
