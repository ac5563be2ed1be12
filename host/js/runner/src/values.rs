//! Values that pass between JavaScript and the contract.

use rquickjs::{Array, Ctx, Error, Exception, FromJs, IntoJs, Result, TypedArray, Value};

use crate::bindings::hitchy::platform::sockets::Audience;
use crate::bindings::hitchy::platform::types::{Failure, Payload};

/// Throws a failure of the host. Handlers see an `Error` with `name`, `code`, `message` and `data`.
pub fn thrown(ctx: &Ctx<'_>, failure: &Failure) -> Error {
    let made = Exception::from_message(ctx.clone(), &failure.message).and_then(|exception| {
        let object = exception.as_object();
        object.set("name", "Failure")?;
        object.set("code", failure.code)?;
        let data = failure.data.as_deref().map(|data| ctx.json_parse(data));
        if let Some(Ok(data)) = data {
            object.set("data", data)?;
        }
        Ok(exception)
    });
    made.map_or_else(|error| error, Exception::throw)
}

/// Throws an error with a message.
pub fn error(ctx: &Ctx<'_>, message: &str) -> Error {
    Exception::throw_message(ctx, message)
}

/// Copies the bytes of an array.
#[allow(unsafe_code)]
pub fn bytes(array: &TypedArray<'_, u8>) -> Vec<u8> {
    // SAFETY: no JavaScript runs while the bytes are borrowed, so that nothing can detach or resize the buffer.
    let bytes = unsafe { array.as_bytes() };
    bytes.unwrap_or_default().to_vec()
}

/// Makes pairs of a list in which names and values alternate.
pub fn pairs(flat: Vec<String>) -> Vec<(String, String)> {
    let mut flat = flat.into_iter();
    let mut pairs = Vec::with_capacity(flat.len() / 2);
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        pairs.push((name, value));
    }
    pairs
}

/// Makes a list in which names and values alternate.
pub fn flat(pairs: Vec<(String, String)>) -> Vec<String> {
    pairs
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect()
}

/// The arguments of a packet. JavaScript hands them over as JSON, or as `[json, attachments]`, and gets them as
/// `[arguments, attachments]`, without the attachments if there are none.
pub struct Packed(pub Payload);

impl Packed {
    /// Returns the arguments as JavaScript gets them.
    pub fn parts<'js>(self, ctx: &Ctx<'js>) -> Result<(Value<'js>, Option<Array<'js>>)> {
        let Payload { json, attachments } = self.0;
        let values = ctx.json_parse(json)?;
        if attachments.is_empty() {
            return Ok((values, None));
        }
        let files = Array::new(ctx.clone())?;
        for (number, file) in attachments.into_iter().enumerate() {
            files.set(number, TypedArray::new(ctx.clone(), file)?)?;
        }
        Ok((values, Some(files)))
    }
}

impl<'js> FromJs<'js> for Packed {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        if let Some(json) = value.as_string() {
            return Ok(Self(Payload {
                json: json.to_string()?,
                attachments: Vec::new(),
            }));
        }
        let array = Array::from_js(ctx, value)?;
        let files: Vec<TypedArray<'js, u8>> = array.get(1)?;
        Ok(Self(Payload {
            json: array.get(0)?,
            attachments: files.iter().map(bytes).collect(),
        }))
    }
}

impl<'js> IntoJs<'js> for Packed {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let (values, files) = self.parts(ctx)?;
        let array = Array::new(ctx.clone())?;
        array.set(0, values)?;
        if let Some(files) = files {
            array.set(1, files)?;
        }
        Ok(array.into_value())
    }
}

/// A set of sockets: JavaScript has it as `[namespace, rooms, excluding, local, volatile]`.
pub struct Sockets(pub Audience);

impl<'js> FromJs<'js> for Sockets {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let array = Array::from_js(ctx, value)?;
        Ok(Self(Audience {
            namespace: array.get(0)?,
            rooms: array.get(1)?,
            excluding: array.get(2)?,
            this_node_only: array.get(3)?,
            droppable: array.get(4)?,
        }))
    }
}
