//! Helpers for the headers of requests and responses, shared by the doors.

use axum::http::header::AsHeaderName;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::message::is_hop_by_hop;

/// Removes the headers whose name fulfils `is_removed`.
pub(super) fn remove_where(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    // `HeaderMap` has no `retain` (http 1), and its keys cannot be borrowed while one of them is removed.
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_removed(name))
        .cloned()
        .collect();
    for name in removed {
        headers.remove(name);
    }
}

/// Removes hop-by-hop headers, among them those that `connection` names (RFC 9110, 7.6.1).
///
/// The header `proxy` is removed too, because CGI-like guests would turn it into the variable `HTTP_PROXY`.
pub(super) fn without_hop_by_hop(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = list_items(&headers, header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        .collect();
    remove_where(&mut headers, |name| {
        is_hop_by_hop(name) || name.as_str() == "proxy"
    });
    for name in named {
        headers.remove(name);
    }
    headers
}

/// Returns the items of a header whose values are lists separated by commas, without the spaces around them.
///
/// Values that are not visible ASCII are skipped.
pub(in crate::server) fn list_items(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Returns the value of `content-length`, in bytes; none if it is missing or not a number.
pub(in crate::server) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// Returns the media type in lower case: `application/json` for `Application/JSON; charset=utf-8`.
pub(in crate::server) fn media_type(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    Some(text.split(';').next()?.trim().to_ascii_lowercase())
}

/// Returns the host and the port of a host header; none if it has another form.
pub(in crate::server) fn authority(host: &HeaderValue) -> Option<Authority> {
    host.to_str().ok()?.parse().ok()
}

/// Adds `connection: close`, with which hyper closes the connection after the response.
pub(in crate::server) fn set_connection_close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}
