//! Binary values. In the arguments of an event they are sent as attachments beside the JSON text.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, SerializeStruct, Serializer};

/// Binary data: the body of a request, or an argument of an event at any depth. Cloning it is cheap.
///
/// In JavaScript it is an `ArrayBuffer` or a `Buffer`. It cannot be read or written outside of an event's arguments,
/// for example in a [`Json`](crate::Json) body, because JSON has no binary type.
///
/// ```
/// use hitchy_guest::{Bytes, Data};
///
/// #[derive(serde::Deserialize)]
/// struct Upload { name: String, content: Bytes }
///
/// fn upload(Data(file): Data<Upload>) -> String {
///     format!("{} has {} bytes", file.name, file.content.len())
/// }
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Rc<Vec<u8>>);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Rc::new(bytes))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Bytes> for Vec<u8> {
    /// Converts without copying, unless there is another clone.
    fn from(Bytes(shared): Bytes) -> Self {
        Rc::try_unwrap(shared).unwrap_or_else(|shared| shared.to_vec())
    }
}

thread_local! {
    /// Attachments of the payload that is being written. `None` while no payload is being written.
    static OUTGOING: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
    /// Attachments of the payload that is being read.
    static INCOMING: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// Runs `write` and returns the attachments that it has serialised. Calls may be nested.
pub(super) fn collect_attachments<T>(write: impl FnOnce() -> T) -> (T, Vec<Vec<u8>>) {
    let outer = OUTGOING.replace(Some(Vec::new()));
    let written = write();
    let attachments = OUTGOING.replace(outer).unwrap_or_default();
    (written, attachments)
}

/// Runs `read`, which can deserialise these attachments. Calls may be nested.
pub(super) fn provide_attachments<T>(attachments: &[Bytes], read: impl FnOnce() -> T) -> T {
    let outer = INCOMING.replace(attachments.to_vec());
    let value = read();
    INCOMING.replace(outer);
    value
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let next_number = OUTGOING.with_borrow_mut(|outgoing| {
            let attachments = outgoing.as_mut()?;
            attachments.push(self.to_vec());
            Some(attachments.len() - 1)
        });
        let Some(number) = next_number else {
            return Err(S::Error::custom(
                "Bytes can be written into the arguments of an event only: JSON has no bytes",
            ));
        };
        let mut placeholder = serializer.serialize_struct("Bytes", 2)?;
        placeholder.serialize_field("_placeholder", &true)?;
        placeholder.serialize_field("num", &number)?;
        placeholder.end()
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(expecting = "binary data")]
        struct Placeholder {
            _placeholder: bool,
            num: usize,
        }
        let Placeholder {
            _placeholder: true,
            num,
        } = Placeholder::deserialize(deserializer)?
        else {
            return Err(D::Error::custom("expected binary data"));
        };
        INCOMING
            .with_borrow(|attachments| attachments.get(num).cloned())
            .ok_or_else(|| D::Error::custom("expected binary data"))
    }
}
