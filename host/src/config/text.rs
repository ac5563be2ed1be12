//! Readers of settings that are text of some form. Each reads text as people write it and returns its canonical form,
//! or `None` if the text does not have the form.

use super::types::{Console, Listen, Network, canonical_origin};
use crate::cluster::RedisUrl;
use crate::runtime::OutboundEntry;

/// Reads an address to listen on.
pub(super) fn listen(text: &str) -> Option<String> {
    text.parse::<Listen>().ok().map(String::from)
}

/// Reads an address to listen on, or `off`.
pub(super) fn console(text: &str) -> Option<String> {
    text.parse::<Console>().ok().map(String::from)
}

/// Reads an IP address or a block of addresses.
pub(super) fn network(text: &str) -> Option<String> {
    text.parse::<Network>().ok().map(String::from)
}

/// Reads the path of the socket.io endpoint: segments of letters, digits and `-._~` (RFC 3986, unreserved).
pub(super) fn socket_path(text: &str) -> Option<String> {
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let mut segments = text.strip_prefix('/')?.split('/');
    let is_path = segments.all(|segment| !segment.is_empty() && segment.chars().all(is_unreserved));
    is_path.then(|| text.to_owned())
}

/// Reads the path of a file below the public folder: names with `/` between them, none of them hidden. Empty text
/// stands for no file.
pub(super) fn public_file(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let path = text.strip_prefix('/').unwrap_or(text);
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.');
    let is_path = path.split('/').all(is_name) && !path.contains(['\\', '\0']);
    is_path.then(|| path.to_owned())
}

/// Reads a web origin or `*`. Returns an origin as browsers send it: in lower case and without the default port.
pub(super) fn origin(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    canonical_origin(text)
}

/// Returns the TOML of a value without what stands before the host of a URL, which may be a password.
pub(super) fn without_users(toml: &str) -> String {
    let hidden = |item: &str| match item.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let scheme = user.split_once("://").map_or("", |(scheme, _)| scheme);
            let separator = if scheme.is_empty() { "" } else { "://" };
            format!("{scheme}{separator}…@{host}")
        }
        _ => item.to_owned(),
    };
    // Every second part is outside of the quotes.
    let items: Vec<_> = toml.split('"').map(hidden).collect();
    items.join("\"")
}

/// Reads the URL of Redis. Empty text stands for none.
pub(super) fn redis(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let url = text.parse::<RedisUrl>().ok()?;
    Some(url.to_string())
}

/// Reads the beginning of the names of channels and keys, or the name of a node.
pub(super) fn prefix(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_prefix = !text.is_empty() && text.len() <= 64 && text.chars().all(is_part);
    is_prefix.then(|| text.to_owned())
}

/// Reads an entry of the servers that a handler may call.
pub(super) fn outbound(text: &str) -> Option<String> {
    text.parse::<OutboundEntry>().ok().map(String::from)
}

/// Reads the name of a handler: the path of its file below the handlers folder without `.wasm`, with `/` between
/// folders.
pub(super) fn handler_name(text: &str) -> Option<String> {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let is_name =
        text.split('/').all(is_segment) && !text.contains('\\') && !text.ends_with(".wasm");
    is_name.then(|| text.to_owned())
}

/// Reads an event that a command answers: `say`, or `/chat say` in another namespace than `/`.
pub(super) fn event(text: &str) -> Option<String> {
    let name = match text.strip_prefix('/') {
        Some(_) => text
            .split_once(' ')
            .map(|(_, name)| name)
            .unwrap_or_default(),
        None => text,
    };
    (!name.is_empty()).then(|| text.to_owned())
}

/// Reads the name of a secret: a name that an environment variable may have in every shell. Variables that begin with
/// `HITCHY_` are settings of the server.
pub(super) fn secret_name(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty();
    let is_name = begins_well && text.chars().all(is_part) && !text.starts_with("HITCHY_");
    is_name.then(|| text.to_owned())
}

/// Reads the name of a secret. Empty text stands for none.
pub(super) fn secret_name_or_none(text: &str) -> Option<String> {
    match text {
        "" => Some(String::new()),
        name => secret_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        let read = |text| origin(text).unwrap();
        assert_eq!(
            read("HTTPS://App.Example.com:443"),
            "https://app.example.com"
        );
        assert_eq!(read("http://localhost:8080"), "http://localhost:8080");
        assert_eq!(read("capacitor://localhost"), "capacitor://localhost");
        for text in [
            "example.com",
            "https://example.com/",
            "https://*.example.com",
            "https://a@b",
            "null",
        ] {
            assert_eq!(origin(text), None, "{text}");
        }
    }

    #[test]
    fn a_socket_path_has_segments_and_no_end_slash() {
        assert!(socket_path("/rt/socket.io").is_some());
        for text in ["", "/", "socket.io", "/socket.io/", "//x", "/{x}", "/a b"] {
            assert_eq!(socket_path(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_named_like_a_variable() {
        assert!(secret_name("api_TOKEN2").is_some());
        for text in ["", "2FA", "A-B", "A B", "A=B", "HITCHY_TOKEN", "Schlüssel"] {
            assert_eq!(secret_name(text), None, "{text}");
        }
    }

    #[test]
    fn a_handler_name_is_a_path_below_the_folder() {
        assert!(handler_name("api/shop").is_some());
        for text in ["", "/api", "api/", "../up", "a/./b", "a\\b", "chat.wasm"] {
            assert_eq!(handler_name(text), None, "{text}");
        }
    }
}
