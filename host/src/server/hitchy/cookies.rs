//! The cookies of one connection to `/hitchy`: what answers set there, its next requests send. They never reach
//! the browser's own store, nor another connection.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::Cookie;
use cookie::time::OffsetDateTime;

use crate::lock::lock;

/// Cookies that one connection keeps: as many as browsers must for a host (RFC 6265, 6.1). The oldest goes.
const MOST: usize = 50;
/// Bytes of one cookie's name and value: as many as browsers must keep (RFC 6265, 6.1). A larger one is not kept.
const MOST_BYTES: usize = 4096;
/// Bytes of all of them: they come with each request. The oldest go.
const ALL_BYTES: usize = 16 << 10;

/// The jar.
pub(super) struct Cookies {
    /// The handshake's, as they came.
    own: Vec<HeaderValue>,
    changes: Mutex<Changes>,
}

/// What answers did.
#[derive(Default)]
struct Changes {
    kept: Vec<Kept>,
    /// Names of the handshake's that were deleted.
    deleted: Vec<String>,
}

/// One that an answer set.
struct Kept {
    name: String,
    value: String,
    until: Option<OffsetDateTime>,
}

impl Kept {
    fn size(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

impl Cookies {
    /// With the cookies that came with the handshake.
    pub(super) fn new(handshake: &HeaderMap) -> Arc<Self> {
        let own = handshake.get_all(header::COOKIE).iter().cloned().collect();
        Arc::new(Self {
            own,
            changes: Mutex::default(),
        })
    }

    /// Keeps what an answer sets, and forgets what it says has expired. Its other attributes do not matter:
    /// there is one host, and it is the connection's.
    pub(super) fn keep(&self, answer: &HeaderMap) {
        for value in answer.get_all(header::SET_COOKIE) {
            let cookie = text(value).and_then(|text| Cookie::parse(text).ok());
            if let Some(cookie) = cookie {
                self.keep_one(&cookie);
            }
        }
    }

    fn keep_one(&self, cookie: &Cookie<'_>) {
        let now = OffsetDateTime::now_utc();
        // `max-age` goes before `expires` (RFC 6265, 5.3).
        let until = match cookie.max_age() {
            Some(age) => now.checked_add(age),
            None => cookie.expires_datetime(),
        };
        let new = Kept {
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            until,
        };
        if new.size() > MOST_BYTES {
            return;
        }
        let mut changes = lock(&self.changes);
        let Changes { kept, deleted } = &mut *changes;
        kept.retain(|one| one.name != new.name);
        if until.is_some_and(|until| until <= now) {
            // One that came with the handshake must not come back from there.
            if self.is_own(&new.name) && !deleted.contains(&new.name) {
                deleted.push(new.name);
            }
            return;
        }
        kept.push(new);
        while kept.len() > MOST || kept.iter().map(Kept::size).sum::<usize>() > ALL_BYTES {
            kept.remove(0);
        }
    }

    fn is_own(&self, name: &str) -> bool {
        self.own_pairs().any(|(own, _)| own == name)
    }

    /// Names and values of the handshake's.
    fn own_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self
            .own
            .iter()
            .filter_map(text)
            .flat_map(|text| text.split(';'));
        pairs.map(|pair| pair.trim().split_once('=').unwrap_or((pair.trim(), "")))
    }

    /// The `cookie` headers of the connection's next request.
    pub(super) fn headers(&self) -> Vec<HeaderValue> {
        let now = OffsetDateTime::now_utc();
        let changes = lock(&self.changes);
        let Changes { kept, deleted } = &*changes;
        if kept.is_empty() && deleted.is_empty() {
            return self.own.clone();
        }
        let own = self.own_pairs().filter(|(name, _)| {
            kept.iter().all(|one| one.name != *name) && deleted.iter().all(|gone| gone != name)
        });
        let alive = kept
            .iter()
            .filter(|one| one.until.is_none_or(|until| until > now));
        let alive = alive.map(|one| (one.name.as_str(), one.value.as_str()));
        let pairs: Vec<String> = own
            .chain(alive)
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let header = HeaderValue::from_bytes(pairs.join("; ").as_bytes()).ok();
        header
            .filter(|header| !header.is_empty())
            .into_iter()
            .collect()
    }
}

/// Browsers send what was set, in UTF-8 perhaps.
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

    fn keep(jar: &Cookies, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::SET_COOKIE, cookie.parse().unwrap());
        }
        jar.keep(&headers);
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
        assert!(sent(&cookies).len() < ALL_BYTES + 200);
    }

    #[test]
    fn r03_cookies_that_are_no_ascii_stay() {
        let own = HeaderValue::from_bytes("a=ü; b=1".as_bytes()).unwrap();
        let cookies = Cookies::new(&HeaderMap::from_iter([(header::COOKIE, own)]));
        keep(&cookies, &["c=2"]);
        assert_eq!(cookies.headers()[0].as_bytes(), "a=ü; b=1; c=2".as_bytes());
    }
}
