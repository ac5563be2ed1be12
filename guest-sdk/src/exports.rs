//! Implementation of the six interfaces that a handler exports.
//!
//! The host calls with the index of a declaration. Each export looks up the entry at this index in the instance's app
//! and calls its function.

use std::cell::OnceCell;
use std::marker::PhantomData;

use crate::app::{Action, App, Entries, Hook, Stage};
use crate::bindings::exports::hitchy::platform::{
    connections, events, http, policies, schedules, setup,
};
use crate::bindings::hitchy::platform::registration::Registrar;
use crate::connection::Connection;
use crate::due::Due;
use crate::error::{Error, Failure, Result};
use crate::event::Event;
use crate::host::{requests, sockets, wit};
use crate::request::Request;
use crate::socket::Socket;

/// Source of a handler's app. The macro `export!` implements it.
pub trait Handler {
    /// Builds the app of an instance.
    fn app() -> App;
}

thread_local! {
    /// The app of this instance.
    static APP: OnceCell<&'static Entries> = const { OnceCell::new() };
}

/// Returns the app of this instance, which the first call builds. It is never dropped, because it ends together with
/// the instance: freeing it would only cost time.
fn app<H: Handler>() -> &'static Entries {
    APP.with(|app| *app.get_or_init(|| Box::leak(H::app().entries)))
}

/// The exports of a handler, as the generated macro needs them.
#[derive(Debug)]
pub struct Exports<H>(PhantomData<H>);

impl<H: Handler> setup::Guest for Exports<H> {
    fn describe(to: Registrar) {
        let app = app::<H>();
        for route in &app.routes {
            to.route(route.method, route.path);
        }
        for policy in &app.policies {
            match policy.stage {
                Stage::Before(_) => to.before(policy.method, policy.prefix),
                Stage::After(_) => to.after(policy.method, policy.prefix),
            };
        }
        for listener in &app.listeners {
            to.listener(listener.namespace, listener.event);
        }
        for hook in &app.hooks {
            to.connection(hook.namespace);
        }
        for schedule in &app.schedules {
            to.schedule(&schedule.name(), &schedule.spec());
        }
    }
}

impl<H: Handler> http::Guest for Exports<H> {
    fn on_request(route: u32, request: requests::Request) -> Result<wit::Response, wit::Failure> {
        let app = app::<H>();
        let Some(route) = app.routes.get(route as usize) else {
            return refused(unknown_index("route", route));
        };
        let response = (route.answer)(&Request::new(request, route.path, None));
        response.map(Into::into).or_else(refused)
    }
}

impl<H: Handler> policies::Guest for Exports<H> {
    fn on_before(
        policy: u32,
        request: requests::Request,
    ) -> Result<Option<wit::Response>, wit::Failure> {
        let app = app::<H>();
        let Some(Stage::Before(decide)) = app.policies.get(policy as usize).map(|p| &p.stage)
        else {
            return refused(unknown_index("policy", policy));
        };
        let verdict = decide(&Request::new(request, "", None));
        verdict
            .map(|answer| answer.map(Into::into))
            .or_else(refused)
    }

    fn on_after(policy: u32, request: requests::Request, status: u16) -> Result<(), wit::Failure> {
        let app = app::<H>();
        let Some(Stage::After(run)) = app.policies.get(policy as usize).map(|p| &p.stage) else {
            return refused(unknown_index("policy", policy));
        };
        run(&Request::new(request, "", Some(status))).or_else(refused)
    }
}

impl<H: Handler> events::Guest for Exports<H> {
    fn on_event(
        listener: u32,
        socket: sockets::Socket,
        event: String,
        args: wit::Payload,
        ack_wanted: bool,
    ) -> Result<Option<wit::Payload>, wit::Failure> {
        let app = app::<H>();
        let Some(listener) = app.listeners.get(listener as usize) else {
            return refused(unknown_index("listener", listener));
        };
        let event = Event {
            socket: Socket::new(socket),
            name: event,
            arguments: args.into(),
            ack_wanted,
        };
        let ack = (listener.answer)(&event);
        ack.map(|payload| payload.map(Into::into)).or_else(refused)
    }
}

impl<H: Handler> connections::Guest for Exports<H> {
    fn on_connect(hook: u32, socket: sockets::Socket) -> Result<(), wit::Failure> {
        run_hook::<H>(hook, socket, None, |hook| hook.connect.as_ref()).or_else(refused)
    }

    fn on_connected(hook: u32, socket: sockets::Socket) -> Result<(), wit::Failure> {
        run_hook::<H>(hook, socket, None, |hook| hook.connected.as_ref()).or_else(refused)
    }

    fn on_disconnect(
        hook: u32,
        socket: sockets::Socket,
        reason: String,
    ) -> Result<(), wit::Failure> {
        run_hook::<H>(hook, socket, Some(reason), |hook| hook.disconnect.as_ref()).or_else(refused)
    }
}

impl<H: Handler> schedules::Guest for Exports<H> {
    fn on_schedule(schedule: u32, due_ms: u64) -> Result<(), wit::Failure> {
        let app = app::<H>();
        let Some(schedule) = app.schedules.get(schedule as usize) else {
            return refused(unknown_index("schedule", schedule));
        };
        (schedule.run)(&Due::at_millis(due_ms)).or_else(refused)
    }
}

/// Runs one function of a connection hook, if the hook has it.
fn run_hook<H: Handler>(
    hook: u32,
    socket: sockets::Socket,
    reason: Option<String>,
    action: impl Fn(&Hook) -> Option<&Action>,
) -> Result<()> {
    let app = app::<H>();
    let hook = app
        .hooks
        .get(hook as usize)
        .ok_or_else(|| unknown_index("connection hook", hook))?;
    match action(hook) {
        Some(run) => run(&Connection {
            socket: Socket::new(socket),
            reason,
        }),
        None => Ok(()),
    }
}

/// Creates the error for an index that no declaration has. The host uses the indexes that `describe` received, so this
/// happens only when an app does not declare the same each time.
fn unknown_index(what: &str, index: u32) -> Error {
    Error::internal(format_args!(
        "{what} {index} was declared once and is not now: an app must always declare the same"
    ))
}

/// Converts an error into the failure that the host receives. An internal error is written to the log.
fn refused<T>(error: Error) -> Result<T, wit::Failure> {
    Err(Failure::from(error).into())
}
