//! The variables of a request (RFC 3875, 4.1).

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::uri::Authority;

use crate::message::Exchange;
use crate::runtime::convert;

/// The variables of a call, as pairs of name and value.
pub(super) type Variables = Vec<(String, String)>;

/// The variable with the context of the request, as a JSON object of texts.
const CONTEXT: &str = "HITCHY_CONTEXT";

/// Returns the variables of a request. `mount` is the path of the command, and `path_info` the decoded rest of the
/// request's path.
pub(super) fn of_request(exchange: &Exchange, mount: &str, path_info: String) -> Variables {
    let request = &exchange.request;
    let (host, port) = server(&request.headers);
    let mut variables = vec![
        pair("GATEWAY_INTERFACE", "CGI/1.1"),
        pair(
            "SERVER_SOFTWARE",
            concat!("hitchy/", env!("CARGO_PKG_VERSION")),
        ),
        pair("SERVER_PROTOCOL", "HTTP/1.1"),
        pair("SERVER_NAME", host),
        pair("SERVER_PORT", port),
        pair("REQUEST_METHOD", request.method.as_str()),
        pair("REQUEST_URI", request.target.to_string()),
        pair("SCRIPT_NAME", mount),
        pair("PATH_INFO", path_info),
        pair(
            "QUERY_STRING",
            request.target.query.as_deref().unwrap_or_default(),
        ),
        pair("REMOTE_ADDR", request.remote.ip().to_string()),
        pair("REMOTE_PORT", request.remote.port().to_string()),
    ];
    let context = exchange.context();
    if !context.entries().is_empty() {
        let values: BTreeMap<_, _> = context
            .entries()
            .iter()
            .map(|(key, value)| (key, value))
            .collect();
        // A map of texts can always be written.
        variables.push(pair(
            CONTEXT,
            serde_json::to_string(&values).unwrap_or_default(),
        ));
    }
    if let Some(kind) = convert::header_values(&request.headers, CONTENT_TYPE.as_str()).pop() {
        variables.push(pair("CONTENT_TYPE", kind));
    }
    if !request.body.is_empty() {
        variables.push(pair("CONTENT_LENGTH", request.body.len().to_string()));
    }
    let names = request.headers.keys().filter_map(|name| {
        let variable = variable(name.as_str())?;
        Some((variable, name.as_str()))
    });
    variables.extend(names.map(|(variable, name)| {
        let separator = if name == COOKIE.as_str() { "; " } else { ", " };
        (
            variable,
            convert::header_values(&request.headers, name).join(separator),
        )
    }));
    variables
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Returns the variable of a header: `HTTP_X_THING` for `x-thing`. Some headers have none.
///
/// `proxy` would become `HTTP_PROXY`, which HTTP clients take for their proxy's address. A header with an underscore
/// would be taken for the one with a hyphen in its place. Content headers have variables of their own.
fn variable(name: &str) -> Option<String> {
    let is_left_out =
        matches!(name, "proxy" | "content-type" | "content-length") || name.contains('_');
    (!is_left_out).then(|| format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_")))
}

/// Returns the name and the port of the server, as the client named them.
fn server(headers: &HeaderMap) -> (String, String) {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = named.and_then(|host| host.parse::<Authority>().ok());
    let host = authority.as_ref().map_or("localhost", Authority::host);
    let port = authority.as_ref().and_then(Authority::port_u16);
    (host.to_owned(), port.unwrap_or(80).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_headers_that_would_deceive_a_program_have_no_variable() {
        assert_eq!(variable("x-thing").as_deref(), Some("HTTP_X_THING"));
        for name in ["proxy", "x_thing", "content-length"] {
            assert_eq!(variable(name), None, "{name}");
        }
    }
}
