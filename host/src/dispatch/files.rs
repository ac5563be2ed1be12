//! What answers below the routes: files, of which only their answers are known here.

use futures_util::future::BoxFuture;
use http::{Method, header};

use super::Dispatch;
use crate::message::{Exchange, Request, Response};

/// Files that are served where no route answers. Given once, at the start.
pub trait Files: Send + Sync {
    /// The answer to a GET or HEAD; none when there is no such file.
    fn find<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>>;
}

impl Dispatch {
    /// The answer of a file, for the two methods that files have.
    pub(super) async fn file(&self, exchange: &Exchange) -> Option<Response> {
        let request = &exchange.request;
        if request.method != Method::GET && request.method != Method::HEAD {
            return None;
        }
        let mut response = self.files.find(request).await?;
        // What a policy says of caching counts, not beside what is said of files by default, but instead of it.
        if exchange.added_headers().contains_key(header::CACHE_CONTROL) {
            response.headers.remove(header::CACHE_CONTROL);
        }
        Some(response)
    }
}
