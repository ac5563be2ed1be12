//! Extractors: the types that a function of a handler can take as arguments.
//!
//! An extractor reads itself from a request, an event, a connection or a schedule. It refuses input that does not fit, usually with
//! a 400 that says why.

mod body;
mod connection;
mod event;
mod json;
mod path;
mod query;
mod request;
mod schedule;

pub use self::body::Text;
pub use self::connection::{Auth, Reason};
pub use self::event::{AckWanted, Data, EventName};
pub use self::json::Json;
pub use self::path::Path;
pub use self::query::{Form, Query};
pub use self::request::Status;

use crate::connection::Connection;
use crate::due::Due;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::request::Request;
use crate::tuples::for_tuples;

/// A type that routes and policies can take as an argument.
///
/// ```
/// use hitchy_guest::{Failure, FromRequest, Request, Result};
///
/// struct User(String);
///
/// impl FromRequest for User {
///     fn from_request(request: &Request) -> Result<Self> {
///         let user = request.context().get("user")?;
///         user.map(User).ok_or(Failure::new(401, "log in first").into())
///     }
/// }
///
/// fn whoami(User(name): User) -> String {
///     name
/// }
/// # hitchy_guest::App::new().get("/whoami", whoami);
/// ```
#[diagnostic::on_unimplemented(
    message = "a route or policy cannot take `{Self}` from a request",
    label = "not taken from a request",
    note = "it can take `Json<T>`, `Query<T>`, `Path<T>`, `Form<T>`, `Headers`, `Bytes`, `Text`, `Context`, `Request`, `Socket`, an \
            `Option` of these, and what implements `FromRequest`"
)]
pub trait FromRequest: Sized {
    /// Extracts the value from the request.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_request(request: &Request) -> Result<Self>;

    /// Extracts the value if it is present, for an argument of type `Option<Self>`.
    ///
    /// By default, a value that is refused with a [`Failure`](crate::Failure) counts as missing.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_request_if_any(request: &Request) -> Result<Option<Self>> {
        none_if_refused(Self::from_request(request))
    }
}

/// A type that listeners can take as an argument.
///
/// ```
/// use hitchy_guest::{Event, FromEvent, Result};
///
/// struct Room(String);
///
/// impl FromEvent for Room {
///     fn from_event(event: &Event) -> Result<Self> {
///         Ok(Room(event.socket().get("room")?.unwrap_or("general".to_owned())))
///     }
/// }
///
/// fn leave(Room(room): Room) -> String {
///     room
/// }
/// # hitchy_guest::App::new().on("leave", leave);
/// ```
#[diagnostic::on_unimplemented(
    message = "a listener cannot take `{Self}` from an event",
    label = "not taken from an event",
    note = "it can take `Data<T>`, `Socket`, `Context`, `Headers`, `Query<T>`, `Auth<T>`, `AckWanted`, `EventName`, `Payload`, an `Option` \
            of these, and what implements `FromEvent`"
)]
pub trait FromEvent: Sized {
    /// Extracts the value from the event.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_event(event: &Event) -> Result<Self>;

    /// Extracts the value if it is present, for an argument of type `Option<Self>`.
    ///
    /// By default, a value that is refused with a [`Failure`](crate::Failure) counts as missing.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_event_if_any(event: &Event) -> Result<Option<Self>> {
        none_if_refused(Self::from_event(event))
    }
}

/// A type that connection hooks can take as an argument.
///
/// ```
/// use hitchy_guest::{Connection, Failure, FromConnection, Result};
///
/// struct Token(String);
///
/// impl FromConnection for Token {
///     fn from_connection(connection: &Connection) -> Result<Self> {
///         let token = connection.socket().header("authorization");
///         token.map(Token).ok_or(Failure::new(401, "no token").into())
///     }
/// }
///
/// fn check(Token(token): Token) -> Result<()> {
///     Ok(())
/// }
/// # hitchy_guest::App::new().on_connect("/", check);
/// ```
#[diagnostic::on_unimplemented(
    message = "a connection hook cannot take `{Self}`",
    label = "not taken from a connection",
    note = "it can take `Socket`, `Context`, `Headers`, `Query<T>`, `Auth<T>`, in `on_disconnect` `Reason`, an `Option` of these, and \
            what implements `FromConnection`"
)]
pub trait FromConnection: Sized {
    /// Extracts the value from the connection.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run. In `on_connect`, it also refuses the client.
    fn from_connection(connection: &Connection) -> Result<Self>;

    /// Extracts the value if it is present, for an argument of type `Option<Self>`.
    ///
    /// By default, a value that is refused with a [`Failure`](crate::Failure) counts as missing.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run. In `on_connect`, it also refuses the client.
    fn from_connection_if_any(connection: &Connection) -> Result<Option<Self>> {
        none_if_refused(Self::from_connection(connection))
    }
}

/// A type that schedules can take as an argument.
///
/// ```
/// use hitchy_guest::{Due, FromSchedule, Result};
///
/// struct Day(u64);
///
/// impl FromSchedule for Day {
///     fn from_schedule(due: &Due) -> Result<Self> {
///         Ok(Day(due.millis() / 86_400_000))
///     }
/// }
///
/// fn report(Day(day): Day) -> Result<()> {
///     Ok(())
/// }
/// # hitchy_guest::App::new().cron("0 3 * * *", report);
/// ```
#[diagnostic::on_unimplemented(
    message = "a schedule cannot take `{Self}`",
    label = "not taken from a schedule",
    note = "it can take `Due`, the time at which it is due, and what implements `FromSchedule`; no client causes the call, so that \
            there is no request, socket or context"
)]
pub trait FromSchedule: Sized {
    /// Extracts the value from the time at which the schedule is due.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_schedule(due: &Due) -> Result<Self>;

    /// Extracts the value if it is present, for an argument of type `Option<Self>`.
    ///
    /// By default, a value that is refused with a [`Failure`](crate::Failure) counts as missing.
    ///
    /// # Errors
    /// An error ends the call, and the function does not run.
    fn from_schedule_if_any(due: &Due) -> Result<Option<Self>> {
        none_if_refused(Self::from_schedule(due))
    }
}

/// Turns a failure into `None`. An internal error remains an error, because it does not mean that the value is missing.
fn none_if_refused<T>(taken: Result<T>) -> Result<Option<T>> {
    match taken {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.failure().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Implements an extractor's trait for `Option<T>` and `Result<T, Error>`.
macro_rules! compose {
    ($trait:ident, $from:ident, $if_any:ident, $source:ty) => {
        impl<T: $trait> $trait for Option<T> {
            fn $from(source: &$source) -> Result<Self> {
                T::$if_any(source)
            }
        }

        impl<T: $trait> $trait for Result<T, Error> {
            fn $from(source: &$source) -> Result<Self> {
                Ok(T::$from(source))
            }
        }
    };
}

compose!(FromRequest, from_request, from_request_if_any, Request);
compose!(FromEvent, from_event, from_event_if_any, Event);
compose!(
    FromConnection,
    from_connection,
    from_connection_if_any,
    Connection
);
compose!(FromSchedule, from_schedule, from_schedule_if_any, Due);

macro_rules! tuple {
    ($($item:ident)*) => {
        impl<$($item: FromRequest),*> FromRequest for ($($item,)*) {
            fn from_request(_request: &Request) -> Result<Self> {
                Ok(($($item::from_request(_request)?,)*))
            }
        }

        impl<$($item: FromEvent),*> FromEvent for ($($item,)*) {
            fn from_event(_event: &Event) -> Result<Self> {
                Ok(($($item::from_event(_event)?,)*))
            }
        }

        impl<$($item: FromConnection),*> FromConnection for ($($item,)*) {
            fn from_connection(_connection: &Connection) -> Result<Self> {
                Ok(($($item::from_connection(_connection)?,)*))
            }
        }

        impl<$($item: FromSchedule),*> FromSchedule for ($($item,)*) {
            fn from_schedule(_due: &Due) -> Result<Self> {
                Ok(($($item::from_schedule(_due)?,)*))
            }
        }
    };
}

for_tuples!(tuple);
