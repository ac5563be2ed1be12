//! The types that a listener can return.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::extract::{Data, Json};
use crate::payload::{Bytes, Payload};

/// A type that listeners can return: the arguments of the client's callback.
///
/// | returned | the callback gets |
/// |---|---|
/// | `()`, `None` | nothing from this listener: another handler's may answer, else it is called without arguments |
/// | `&str`, `String`, numbers, `bool`, `serde_json::Value` | one argument |
/// | [`Json<T>`](Json) | one argument, whatever `T` is |
/// | [`Bytes`] | one binary argument |
/// | a tuple | several arguments |
/// | [`Data<T>`](Data) | as in `emit`: a tuple several arguments, anything else one |
/// | `Result<T, E>` | an error as `{"error": {"code", "message", "id"}}` |
///
/// ```
/// use hitchy_guest::{App, Bytes, Data, Json, Result};
///
/// fn app() -> App {
///     App::new()
///         .on("ping", || "pong")
///         .on("sum", |Data((a, b)): Data<(i64, i64)>| a + b)
///         .on("list", || Json(vec!["one", "argument"]))
///         .on("file", || ("name", Bytes::from(b"content")))
/// }
/// # app();
/// ```
#[diagnostic::on_unimplemented(
    message = "a listener cannot return `{Self}`",
    label = "not an ack",
    note = "wrap what serde can serialise into `Json(…)`, for one argument, or `Data(…)`"
)]
pub trait IntoAck {
    /// Converts the value into the arguments of the ack. `None` leaves the ack to other handlers.
    ///
    /// # Errors
    /// An error is answered as [`Error`] describes.
    fn into_ack(self) -> Result<Option<Payload>>;
}

/// Encodes a value as one argument, also if it is a tuple.
fn one<T: Serialize + ?Sized>(value: &T) -> Result<Option<Payload>> {
    Payload::new(&(value,)).map(Some)
}

impl IntoAck for () {
    fn into_ack(self) -> Result<Option<Payload>> {
        Ok(None)
    }
}

impl IntoAck for Payload {
    fn into_ack(self) -> Result<Option<Payload>> {
        Ok(Some(self))
    }
}

impl<T: Serialize> IntoAck for Json<T> {
    fn into_ack(self) -> Result<Option<Payload>> {
        one(&self.0)
    }
}

impl<T: Serialize> IntoAck for Data<T> {
    fn into_ack(self) -> Result<Option<Payload>> {
        Payload::new(&self.0).map(Some)
    }
}

impl<T: IntoAck> IntoAck for Option<T> {
    fn into_ack(self) -> Result<Option<Payload>> {
        self.map_or(Ok(None), IntoAck::into_ack)
    }
}

impl<T: IntoAck, E: Into<Error>> IntoAck for Result<T, E> {
    fn into_ack(self) -> Result<Option<Payload>> {
        self.map_err(Into::into)?.into_ack()
    }
}

macro_rules! one_argument {
    ($($type:ty)*) => {
        $(impl IntoAck for $type {
            fn into_ack(self) -> Result<Option<Payload>> {
                one(&self)
            }
        })*
    };
}

one_argument!(&str String bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 Bytes serde_json::Value);

macro_rules! several_arguments {
    ($($first:ident $($item:ident)*)?) => {
        $(impl<$first: Serialize, $($item: Serialize),*> IntoAck for ($first, $($item,)*) {
            fn into_ack(self) -> Result<Option<Payload>> {
                Data(self).into_ack()
            }
        })?
    };
}

crate::tuples::for_tuples!(several_arguments);

#[cfg(test)]
mod tests {
    use super::*;

    fn json(ack: impl IntoAck) -> Option<String> {
        ack.into_ack().unwrap().map(|payload| payload.json)
    }

    #[test]
    fn one_several_or_nothing() {
        assert_eq!(json(()), None);
        assert_eq!(json(None::<u8>), None);
        assert_eq!(json("a").unwrap(), r#"["a"]"#);
        assert_eq!(json(Ok::<_, Error>("a")).unwrap(), r#"["a"]"#);
        assert_eq!(json(Json((1, 2))).unwrap(), "[[1,2]]");
        assert_eq!(json(Data((1, 2))).unwrap(), "[1,2]");
        assert_eq!(json((1, "a")).unwrap(), r#"[1,"a"]"#);
        assert_eq!(json(Data(())).unwrap(), "[]");
    }

    #[test]
    fn bytes_travel_beside() {
        let ack = Bytes::from(b"x").into_ack().unwrap().unwrap();
        assert_eq!(ack.json, r#"[{"_placeholder":true,"num":0}]"#);
        assert_eq!(ack.attachments, [Bytes::from(b"x")]);
    }
}
