//! Errors of a handler. A [`Failure`] is sent to the client, and any other error is written to the log.

use std::any::Any;
use std::fmt;

use serde::Serialize;

use crate::host::wit;
use crate::{http, log};

/// The result of a handler's function. The `?` operator converts a [`Failure`] and any other error.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// An error that the client sees: a status, a sentence, and optional data.
///
/// It becomes the body `{"error": message, "code": code, "id": …}` of a request, the ack `{"error": {"code", "message",
/// "id"}}` of an event, or the message of `connect_error`. The host also returns it, for example when an emit is
/// refused.
///
/// ```
/// use hitchy_guest::{Failure, Result};
///
/// fn rename(taken: bool) -> Result<&'static str> {
///     if taken {
///         return Err(Failure::new(409, "this name is taken").with_data("name").into());
///     }
///     Ok("renamed")
/// }
/// # assert!(rename(true).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: u16,
    message: String,
    data: Option<String>,
}

impl Failure {
    /// Creates a failure from an HTTP status between 400 and 599 and a sentence for the client.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds data for programs, which is sent as `data` beside the message.
    ///
    /// A value that cannot be written as JSON is left out, and an error is written to the log.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        match serde_json::to_string(&data) {
            Ok(json) => self.data = Some(json),
            Err(error) => log::error(format_args!(
                "the data of a failure cannot be written as JSON: {error}"
            )),
        }
        self
    }

    /// Returns the HTTP status.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the sentence for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the data that [`with_data`](Failure::with_data) added, as JSON text.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

impl From<wit::Failure> for Failure {
    fn from(
        wit::Failure {
            code,
            message,
            data,
        }: wit::Failure,
    ) -> Self {
        Failure {
            code,
            message,
            data,
        }
    }
}

impl From<Failure> for wit::Failure {
    fn from(
        Failure {
            code,
            message,
            data,
        }: Failure,
    ) -> Self {
        wit::Failure {
            code,
            message,
            data,
        }
    }
}

impl From<Error> for Failure {
    /// Converts an error into what the client may see. The text of an internal error is written to the log instead.
    fn from(error: Error) -> Self {
        match error.0 {
            Kind::Failure(failure) => failure,
            Kind::Internal(text) => {
                log::error(text);
                Failure::new(500, "internal server error")
            }
            Kind::OtherServer(failure, text) => {
                log::error(text);
                failure
            }
        }
    }
}

/// Any error of a handler.
///
/// The `?` operator converts every type that implements [`std::error::Error`]. A [`Failure`] is sent to the client
/// unchanged. Every other error is answered with 500: its text is written to the log with the call's id, and the client
/// reads `internal server error`. An [`http::Error`](crate::http::Error) is answered with 502 or 504 if another server is
/// at fault.
///
/// ```
/// use hitchy_guest::Result;
///
/// fn sum(a: String, b: String) -> Result<String> {
///     let sum = a.parse::<i64>()? + b.parse::<i64>()?; // a 500, "invalid digit found in string" in the log
///     Ok(sum.to_string())
/// }
/// # assert!(sum("1".into(), "x".into()).is_err());
/// ```
pub struct Error(Kind);

/// Receiver of an error: the client or the log.
enum Kind {
    Failure(Failure),
    Internal(String),
    /// The failure is for the client, and the text for the log.
    OtherServer(Failure, String),
}

impl Error {
    /// Creates an internal error from a text, for values that do not implement [`std::error::Error`].
    ///
    /// It is answered with 500. The text is written to the log and not shown to the client.
    pub fn internal(text: impl fmt::Display) -> Self {
        Error(Kind::Internal(text.to_string()))
    }

    /// Returns the failure that the client will see, or `None` for an internal error.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0 {
            Kind::Failure(failure) | Kind::OtherServer(failure, _) => Some(failure),
            Kind::Internal(_) => None,
        }
    }

    /// Creates a 400 for input that the client has to correct.
    pub(crate) fn rejected(text: impl Into<String>) -> Self {
        Error(Kind::Failure(Failure::new(400, text)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Failure(failure) => failure.fmt(f),
            Kind::Internal(text) | Kind::OtherServer(_, text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Converts any error. `Error` does not implement [`std::error::Error`], because this conversion would then overlap
/// with the standard library's `From<T> for T` (the crate anyhow does the same).
impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        // `Any` tells a `Failure` from other types. The `Option` allows moving it out of the reference.
        let mut slot = Some(error);
        if let Some(failure) = (&mut slot as &mut dyn Any).downcast_mut::<Option<Failure>>() {
            return Error(Kind::Failure(
                failure.take().expect("it was put there above"),
            ));
        }
        let other = slot.expect("only a failure is taken out above");
        if let Some(error) = (&other as &dyn Any).downcast_ref::<http::Error>()
            && let Some(failure) = error.failure()
        {
            return Error(Kind::OtherServer(failure, error.to_string()));
        }
        Error(Kind::Internal(with_causes(&other)))
    }
}

/// Joins the texts of an error and its causes with `: `.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<u32> {
        Ok(text.parse::<u32>()?)
    }

    fn refuse() -> Result<u32> {
        Err(Failure::new(409, "taken"))?
    }

    #[test]
    fn a_failure_reaches_the_client_as_it_is() {
        assert_eq!(
            Failure::from(refuse().unwrap_err()),
            Failure::new(409, "taken")
        );
    }

    #[test]
    fn the_text_of_another_error_does_not() {
        let error = parse("x").unwrap_err();
        assert_eq!(error.to_string(), "invalid digit found in string");
        assert_eq!(
            Failure::from(error),
            Failure::new(500, "internal server error")
        );
    }

    #[test]
    fn data_is_json_text() {
        let failure = Failure::new(400, "no").with_data([1, 2]);
        assert_eq!(failure.data(), Some("[1,2]"));
    }
}
