//! The exports of the contract.

use rquickjs::{Array, Ctx, Result, TypedArray, Value};

use crate::bindings::exports::hitchy::platform::{
    connections, events, http, policies, schedules, setup,
};
use crate::bindings::hitchy::platform::registration::Registrar;
use crate::bindings::hitchy::platform::requests::Request;
use crate::bindings::hitchy::platform::sockets::Socket;
use crate::bindings::hitchy::platform::types::{Failure, Payload, Response};
use crate::bindings::{Guest, Source, export};
use crate::engine::{self, args};
use crate::files;
use crate::natives::{keep_socket, set_request};
use crate::values::{Packed, bytes, pairs};

/// The component.
pub struct Runner;

export!(Runner with_types_in crate::bindings);

impl Guest for Runner {
    fn init(files: Vec<Source>) -> (Vec<(String, String, String)>, Option<String>) {
        let evaluated = engine::init(files);
        (files::take_missing(), evaluated.err())
    }

    fn translate(name: String, text: String) -> std::result::Result<String, String> {
        engine::translate(&name, &text)
    }
}

impl setup::Guest for Runner {
    fn describe(to: Registrar) {
        let declared = engine::call(
            "declared",
            |ctx| args(ctx, ()),
            |value| Vec::<Vec<String>>::from_value(value),
        );
        for one in declared.unwrap_or_default() {
            let [kind, first, second] = one.as_slice() else {
                continue;
            };
            match kind.as_str() {
                "route" => to.route(first, second),
                "before" => to.before(first, second),
                "after" => to.after(first, second),
                "listener" => to.listener(first, second),
                "connection" => to.connection(first),
                _ => to.schedule(first, second),
            };
        }
    }
}

/// Reads a value from JavaScript.
trait FromValue: Sized {
    fn from_value(value: Value<'_>) -> Result<Self>;
}

impl<T: for<'js> rquickjs::FromJs<'js>> FromValue for T {
    fn from_value(value: Value<'_>) -> Result<Self> {
        let ctx = value.ctx().clone();
        T::from_js(&ctx, value)
    }
}

/// Reads `[status, headers, body]`.
fn response(value: Value<'_>) -> Result<Response> {
    let ctx = value.ctx().clone();
    let parts: Array = rquickjs::FromJs::from_js(&ctx, value)?;
    let body: Value = parts.get(2)?;
    let body = match body.as_string() {
        Some(text) => text.to_string()?.into_bytes(),
        None => bytes(&TypedArray::from_value(body)?),
    };
    Ok(Response {
        status: parts.get(0)?,
        headers: pairs(parts.get(1)?),
        body,
    })
}

fn nothing(_: Value<'_>) -> Result<()> {
    Ok(())
}

fn optional<T>(value: Value<'_>, read: impl FnOnce(Value<'_>) -> Result<T>) -> Result<Option<T>> {
    if value.is_null() || value.is_undefined() {
        return Ok(None);
    }
    read(value).map(Some)
}

impl http::Guest for Runner {
    fn on_request(route: u32, request: Request) -> std::result::Result<Response, Failure> {
        set_request(Some(request));
        engine::call("request", |ctx| args(ctx, (route,)), response)
    }
}

impl policies::Guest for Runner {
    fn on_before(policy: u32, request: Request) -> std::result::Result<Option<Response>, Failure> {
        set_request(Some(request));
        engine::call(
            "before",
            |ctx| args(ctx, (policy,)),
            |value| optional(value, response),
        )
    }

    fn on_after(policy: u32, request: Request, status: u16) -> std::result::Result<(), Failure> {
        set_request(Some(request));
        engine::call("after", |ctx| args(ctx, (policy, status)), nothing)
    }
}

impl events::Guest for Runner {
    fn on_event(
        listener: u32,
        socket: Socket,
        event: String,
        payload: Payload,
        ack_wanted: bool,
    ) -> std::result::Result<Option<Payload>, Failure> {
        let socket = keep_socket(socket);
        engine::call(
            "event",
            |ctx: &Ctx<'_>| {
                let (values, files) = Packed(payload).parts(ctx)?;
                args(ctx, (listener, socket, event, values, files, ack_wanted))
            },
            |value| optional(value, Packed::from_value),
        )
        .map(|packed| packed.map(|packed| packed.0))
    }
}

impl connections::Guest for Runner {
    fn on_connect(hook: u32, socket: Socket) -> std::result::Result<(), Failure> {
        let socket = keep_socket(socket);
        engine::call("connect", |ctx| args(ctx, (hook, socket)), nothing)
    }

    fn on_connected(hook: u32, socket: Socket) -> std::result::Result<(), Failure> {
        let socket = keep_socket(socket);
        engine::call("connected", |ctx| args(ctx, (hook, socket)), nothing)
    }

    fn on_disconnect(
        hook: u32,
        socket: Socket,
        reason: String,
    ) -> std::result::Result<(), Failure> {
        let socket = keep_socket(socket);
        engine::call(
            "disconnected",
            |ctx| args(ctx, (hook, socket, reason)),
            nothing,
        )
    }
}

impl schedules::Guest for Runner {
    fn on_schedule(schedule: u32, due_ms: u64) -> std::result::Result<(), Failure> {
        // Milliseconds since 1970 are exact in a double until the year 287396.
        engine::call(
            "schedule",
            |ctx| args(ctx, (schedule, due_ms as f64)),
            nothing,
        )
    }
}
