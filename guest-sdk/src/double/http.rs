//! Requests to other servers, which answers that a test prepared stand for.

use std::rc::Rc;

use super::state;
use crate::http::ErrorKind;
use crate::http::wire::{Answer, Failed, Parts};

/// A request as the other server would have received it.
#[derive(Clone)]
pub(crate) struct HttpRecord {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The other servers for one method and URL.
#[derive(Clone)]
pub(crate) struct PreparedHttp {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) answer: HttpAnswer,
}

/// Function that answers a request.
pub(crate) type HttpAnswer = Rc<dyn Fn(&HttpRecord) -> Result<Answer, Failed>>;

/// Records a request and answers it as the test prepared it, the newest answer first.
pub(crate) fn send(parts: Parts) -> Result<Answer, Failed> {
    let scheme = if parts.is_secure { "https" } else { "http" };
    let record = HttpRecord {
        method: parts.method,
        url: format!("{scheme}://{}{}", parts.authority, parts.path),
        headers: parts.headers,
        body: parts.body,
    };
    let prepared = state::with(|state| {
        state.http_requests.push(record.clone());
        let mut newest = state.http_answers.iter().rev();
        newest
            .find(|answer| answer.method == record.method && answer.url == record.url)
            .map(|prepared| Rc::clone(&prepared.answer))
    });
    match prepared {
        // The state is not borrowed here, because the function may be code of the test.
        Some(answer) => answer(&record),
        None => Err(Failed {
            kind: ErrorKind::Refused,
            cause: format!(
                "the test prepared no answer: testing::on_http({:?}, {:?}, …)",
                record.method, record.url
            ),
        }),
    }
}
