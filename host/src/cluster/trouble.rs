//! The reasons for which Redis is not reached, as ends of sentences for people.

use std::fmt;
use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// The longest time for an answer of Redis, and for opening a connection.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(1);

/// A reason for which Redis is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection could be opened, or it broke.
    Network(String),
    /// The connection was closed.
    Closed,
    /// Redis did not answer within [`ANSWER_TIME`].
    Silent,
    /// Redis reads its data and answers later.
    Loading,
    /// Redis wants another password or another user, or does not allow what is asked. The text is its answer.
    Refused(String),
    /// Redis answered something else that is of no use.
    Unusable(String),
}

impl Trouble {
    /// Returns true if only a changed setting helps.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (ErrorKind::Io, _) if error.is_timeout() => Self::Silent,
            (ErrorKind::Io, _) if is_end_of_stream(&error) => Self::Closed,
            (ErrorKind::Io, _) => Self::Network(error.to_string()),
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH" | "NOPERM")) => {
                Self::Refused(answer(&error))
            }
            (_, Some("LOADING")) => Self::Loading,
            (ErrorKind::RESP3NotSupported, _) => {
                Self::Unusable("it is older than Redis 6".to_owned())
            }
            _ => Self::Unusable(answer(&error)),
        }
    }
}

/// Returns true if a connection that was open has ended. The library counts connections that were refused among them.
fn is_end_of_stream(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Returns the answer of Redis on one line.
fn answer(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    crate::text::visible(text.trim()).into_owned()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(cause) => f.write_str(cause),
            Self::Closed => f.write_str("the connection was closed"),
            Self::Silent => write!(f, "it does not answer within {ANSWER_TIME:?}"),
            Self::Loading => f.write_str("it is loading its data"),
            Self::Refused(answer) => write!(
                f,
                "it refuses this node: {answer} (check cluster.password and the user in cluster.redis)"
            ),
            Self::Unusable(answer) => write!(f, "its answer is of no use: {answer}"),
        }
    }
}
