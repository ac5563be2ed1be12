//! The cookies of one connection to `/hitchy`.
//!
//! Cookies that a response sets are sent with the next requests of the same connection. They reach neither the
//! store of the browser nor other connections.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::Cookie;
use cookie::time::OffsetDateTime;

use crate::lock::lock;

/// Largest number of cookies that one connection stores. Browsers must store as many for a host (RFC 6265, 6.1).
const MAX_COOKIES: usize = 50;
/// Largest size of one cookie, name and value together, in bytes. Browsers must store as much (RFC 6265, 6.1).
const MAX_BYTES: usize = 4096;
/// Largest size of all stored cookies, in bytes. Each request of the connection carries all of them.
const MAX_TOTAL_BYTES: usize = 16 << 10;

/// The cookies of one connection: those of the handshake, and those that responses set or deleted.
pub(super) struct Cookies {
    /// The `cookie` headers of the handshake, unchanged.
    handshake: Vec<HeaderValue>,
    changes: Mutex<Changes>,
}

/// The changes that responses made, in their order.
///
/// This is not a `cookie::CookieJar`, because a jar (cookie 0.18) has no order and no limits, and does not
/// expire cookies.
#[derive(Default)]
struct Changes {
    /// Cookies that responses set, the oldest first.
    stored: Vec<StoredCookie>,
    /// Names of the handshake's cookies that responses deleted.
    deleted: Vec<String>,
}

/// A cookie that a response set, without its attributes.
struct StoredCookie {
    cookie: Cookie<'static>,
    expires: Option<OffsetDateTime>,
}

impl StoredCookie {
    /// Returns the bytes of name and value.
    fn size(&self) -> usize {
        self.cookie.name().len() + self.cookie.value().len()
    }

    fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Changes {
    /// Returns true if a response replaced or deleted the handshake's cookie of this name.
    fn covers(&self, name: &str) -> bool {
        self.stored
            .iter()
            .any(|stored| stored.cookie.name() == name)
            || self.deleted.iter().any(|deleted| deleted == name)
    }

    /// Removes the oldest cookies until the limits of number and size are kept.
    fn evict(&mut self) {
        while self.stored.len() > MAX_COOKIES
            || self.stored.iter().map(StoredCookie::size).sum::<usize>() > MAX_TOTAL_BYTES
        {
            self.stored.remove(0);
        }
    }
}

impl Cookies {
    /// Creates the cookies of a connection from the headers of its handshake.
    pub(super) fn new(handshake: &HeaderMap) -> Arc<Self> {
        Arc::new(Self {
            handshake: handshake.get_all(header::COOKIE).iter().cloned().collect(),
            changes: Mutex::default(),
        })
    }

    /// Stores the cookies that a response sets, and deletes those that it lets expire.
    ///
    /// Attributes other than the expiry are ignored, because all requests of a connection go to the same host.
    pub(super) fn keep(&self, response: &HeaderMap) {
        for value in response.get_all(header::SET_COOKIE) {
            let cookie = text(value).and_then(|text| Cookie::parse(text).ok());
            if let Some(cookie) = cookie {
                self.keep_one(&cookie);
            }
        }
    }

    /// Stores a cookie, or deletes it if it has expired. A cookie above [`MAX_BYTES`] is ignored.
    fn keep_one(&self, cookie: &Cookie<'_>) {
        let now = OffsetDateTime::now_utc();
        // `max-age` takes precedence over `expires` (RFC 6265, 5.3).
        let expires = match cookie.max_age() {
            Some(age) => now.checked_add(age),
            None => cookie.expires_datetime(),
        };
        let name = cookie.name();
        let new = StoredCookie {
            // A copy of name and value alone, so that long attributes take no memory.
            cookie: Cookie::new(name.to_owned(), cookie.value().to_owned()),
            expires,
        };
        if new.size() > MAX_BYTES {
            return;
        }
        let mut changes = lock(&self.changes);
        changes.stored.retain(|stored| stored.cookie.name() != name);
        if !new.is_expired(now) {
            changes.stored.push(new);
            changes.evict();
        } else if !changes.covers(name) && self.handshake_cookies().any(|own| own.name() == name) {
            // Otherwise the handshake's cookie of this name would be sent again.
            changes.deleted.push(name.to_owned());
        }
    }

    /// Returns the cookies of the handshake. Pairs without a name or without `=` are skipped.
    fn handshake_cookies(&self) -> impl Iterator<Item = Cookie<'_>> {
        self.handshake
            .iter()
            .filter_map(text)
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
    }

    /// Returns the `cookie` headers of the connection's next request.
    ///
    /// They are those of the handshake until a response changes a cookie, and one header from then on.
    pub(super) fn headers(&self) -> Vec<HeaderValue> {
        let now = OffsetDateTime::now_utc();
        let changes = lock(&self.changes);
        if changes.stored.is_empty() && changes.deleted.is_empty() {
            return self.handshake.clone();
        }
        let unchanged = self
            .handshake_cookies()
            .filter(|cookie| !changes.covers(cookie.name()))
            .map(|cookie| cookie.stripped().to_string());
        let stored = changes
            .stored
            .iter()
            .filter(|stored| !stored.is_expired(now))
            .map(|stored| stored.cookie.stripped().to_string());
        let pairs: Vec<String> = unchanged.chain(stored).collect();
        HeaderValue::from_bytes(pairs.join("; ").as_bytes())
            .ok()
            .filter(|header| !header.is_empty())
            .into_iter()
            .collect()
    }
}

/// Returns a header's value as text if it is UTF-8, which browsers send and `to_str` refuses.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(own: &str) -> Arc<Cookies> {
        let mut headers = HeaderMap::new();
        if !own.is_empty() {
            headers.insert(header::COOKIE, own.parse().unwrap());
        }
        Cookies::new(&headers)
    }

    fn keep(own: &Cookies, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie.parse().unwrap());
        }
        own.keep(&headers);
    }

    fn sent(cookies: &Cookies) -> String {
        let headers = cookies.headers();
        assert!(headers.len() <= 1);
        headers
            .first()
            .map_or(String::new(), |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn r03_what_an_answer_sets_the_next_request_sends() {
        let cookies = cookies("a=1; b=2");
        assert_eq!(sent(&cookies), "a=1; b=2");
        keep(&cookies, &["b=3; Path=/; HttpOnly; SameSite=Lax", "c=4"]);
        assert_eq!(sent(&cookies), "a=1; b=3; c=4");
        keep(&cookies, &["b=5", "nonsense"]);
        assert_eq!(sent(&cookies), "a=1; c=4; b=5");
    }

    #[test]
    fn r03_an_expiry_in_the_past_deletes() {
        let cookies = cookies("a=1");
        keep(&cookies, &["b=2", "c=3"]);
        keep(
            &cookies,
            &["b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "c=; Max-Age=0"],
        );
        assert_eq!(sent(&cookies), "a=1");
        keep(&cookies, &["a=; Max-Age=-1"]);
        assert_eq!(sent(&cookies), "", "the handshake's too");
        keep(
            &cookies,
            &["a=7; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
        );
        assert_eq!(sent(&cookies), "a=7", "max-age goes first");
    }

    #[test]
    fn r03_a_jar_has_an_end() {
        let cookies = cookies("");
        for index in 0..60 {
            keep(&cookies, &[&format!("c{index}=x")]);
        }
        assert_eq!(sent(&cookies).split("; ").count(), 50);
        assert!(sent(&cookies).starts_with("c10=x"), "the oldest have gone");
        keep(&cookies, &[&format!("large={}", "x".repeat(5000))]);
        assert!(!sent(&cookies).contains("large"));
        keep(&cookies, &[&format!("c59={}", "x".repeat(5000))]);
        assert!(
            sent(&cookies).ends_with("c59=x"),
            "what is not kept replaces nothing"
        );
        for index in 0..10 {
            keep(&cookies, &[&format!("big{index}={}", "x".repeat(4000))]);
        }
        assert!(sent(&cookies).len() < MAX_TOTAL_BYTES + 200);
    }

    #[test]
    fn r03_cookies_that_are_no_ascii_stay() {
        let own = HeaderValue::from_bytes("a=ü; b=1".as_bytes()).unwrap();
        let cookies = Cookies::new(&HeaderMap::from_iter([(header::COOKIE, own)]));
        keep(&cookies, &["c=2"]);
        assert_eq!(cookies.headers()[0].as_bytes(), "a=ü; b=1; c=2".as_bytes());
    }
}
