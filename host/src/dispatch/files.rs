//! Static files, which answer where no route does. Only their answers are known here.

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::message::{Exchange, Request, Response};

/// Files that are served where no route answers. Set once, at the start.
pub trait Files: Send + Sync {
    /// Returns the answer to a GET or HEAD, or `None` if there is no such file.
    fn find<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>>;

    /// Returns true if a page may answer the path of a GET or HEAD that nothing else answers.
    fn has_page(&self, request: &Request) -> bool;

    /// Returns the answer with that page, or `None` if the client does not ask for one.
    fn page<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Option<Response>>;
}

/// Returns the answer of a file, for the two methods that files have.
pub(super) async fn answer(files: &dyn Files, exchange: &Exchange) -> Option<Response> {
    if !is_read(&exchange.request) {
        return None;
    }
    let mut response = files.find(&exchange.request).await?;
    yield_to(&exchange.added_headers(), &mut response.headers);
    Some(response)
}

/// Returns the answer to a request that no route and no file answers: a page, or the `failure`.
pub(super) async fn page_or(
    files: &dyn Files,
    exchange: &Exchange,
    failure: impl FnOnce() -> Response,
) -> Response {
    let request = &exchange.request;
    if !is_read(request) || !files.has_page(request) {
        return failure();
    }
    let page = files.page(request).await;
    let mut response = page.unwrap_or_else(failure);
    yield_to(&exchange.added_headers(), &mut response.headers);
    // Caches must not give the page to scripts, nor the failure to browsers.
    let accept = HeaderValue::from_static("accept");
    response.headers.append(header::VARY, accept);
    response
}

fn is_read(request: &Request) -> bool {
    request.method == Method::GET || request.method == Method::HEAD
}

/// Leaves caching to a policy that says something about it, so that there are no two rules.
fn yield_to(added: &HeaderMap, headers: &mut HeaderMap) {
    if added.contains_key(header::CACHE_CONTROL) {
        headers.remove(header::CACHE_CONTROL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_the_last_word_on_caching() {
        let cached =
            |how| HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static(how))]);
        let mut headers = cached("no-cache");
        yield_to(&HeaderMap::new(), &mut headers);
        assert_eq!(headers, cached("no-cache"));
        yield_to(&cached("max-age=60"), &mut headers);
        assert_eq!(headers, HeaderMap::new());
    }
}
