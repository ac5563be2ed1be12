//! The entries of an app. Each has the data that is declared to the host and the function that the host calls.

use std::any::type_name;

use crate::answer::{IntoAck, IntoOutcome, IntoResponse, IntoVerdict, Response};
use crate::connection::Connection;
use crate::due::Due;
use crate::error::Result;
use crate::event::Event;
use crate::extract::{FromConnection, FromEvent, FromRequest, FromSchedule};
use crate::function::{Function, assert_captures_nothing};
use crate::payload::Payload;
use crate::request::Request;

/// A function that takes a source of arguments and returns its answer. It captures nothing, so the box does not
/// allocate.
type Call<From, To> = Box<dyn Fn(&From) -> Result<To>>;

/// The entries of an app, each kind in the order of its declarations.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) routes: Vec<Route>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) schedules: Vec<Schedule>,
}

/// A function that answers requests with one method and path.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) answer: Call<Request, Response>,
}

impl Route {
    pub(crate) fn new<F, A>(method: &'static str, path: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoResponse,
    {
        const { assert_captures_nothing::<F>() };
        let answer =
            move |request: &Request| function.call(A::from_request(request)?).into_response();
        Route {
            method,
            path,
            answer: Box::new(answer),
        }
    }
}

/// A function that runs before or after requests below a prefix are answered.
pub(crate) struct Policy {
    pub(crate) method: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) stage: Stage,
}

/// The function of a policy, and the time at which it runs.
pub(crate) enum Stage {
    Before(Call<Request, Option<Response>>),
    After(Call<Request, ()>),
}

impl Policy {
    pub(super) fn before<F, A>(method: &'static str, prefix: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoVerdict,
    {
        const { assert_captures_nothing::<F>() };
        let decide =
            move |request: &Request| function.call(A::from_request(request)?).into_verdict();
        Policy {
            method,
            prefix,
            stage: Stage::Before(Box::new(decide)),
        }
    }

    pub(super) fn after<F, A>(method: &'static str, prefix: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromRequest + 'static,
        F::Output: IntoOutcome,
    {
        const { assert_captures_nothing::<F>() };
        let run = move |request: &Request| function.call(A::from_request(request)?).into_outcome();
        Policy {
            method,
            prefix,
            stage: Stage::After(Box::new(run)),
        }
    }
}

/// A function that answers events with one name in one namespace.
pub(crate) struct Listener {
    pub(crate) namespace: &'static str,
    pub(crate) event: &'static str,
    pub(crate) answer: Call<Event, Option<Payload>>,
}

impl Listener {
    pub(super) fn new<F, A>(namespace: &'static str, event: &'static str, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromEvent + 'static,
        F::Output: IntoAck,
    {
        const { assert_captures_nothing::<F>() };
        let answer = move |event: &Event| function.call(A::from_event(event)?).into_ack();
        Listener {
            namespace,
            event,
            answer: Box::new(answer),
        }
    }
}

/// Functions that run when clients connect to one namespace and disconnect from it. A function that is `None` does
/// nothing.
pub(crate) struct Hook {
    pub(crate) namespace: &'static str,
    pub(crate) connect: Option<Action>,
    pub(crate) connected: Option<Action>,
    pub(crate) disconnect: Option<Action>,
}

/// A function of a connection hook.
pub(crate) type Action = Call<Connection, ()>;

impl Hook {
    pub(super) fn new(namespace: &'static str) -> Self {
        Hook {
            namespace,
            connect: None,
            connected: None,
            disconnect: None,
        }
    }
}

/// Wraps a function of a handler as a function of a connection hook.
pub(super) fn action<F, A>(function: F) -> Action
where
    F: Function<A> + 'static,
    A: FromConnection + 'static,
    F::Output: IntoOutcome,
{
    const { assert_captures_nothing::<F>() };
    Box::new(move |connection: &Connection| {
        function
            .call(A::from_connection(connection)?)
            .into_outcome()
    })
}

/// A function that runs at times.
pub(crate) struct Schedule {
    name: Name,
    times: Times,
    pub(crate) run: Call<Due, ()>,
}

/// The name of a schedule. It is needed only when the app is declared, so that no call makes it.
pub(super) enum Name {
    /// The name that the handler gives.
    Given(&'static str),
    /// The path of the function, whose last part is the name.
    OfFunction(&'static str),
}

/// The times of a schedule.
pub(super) enum Times {
    /// A length of time: `5s`.
    Every(&'static str),
    /// A cron expression, or a complete spec.
    Spec(&'static str),
}

impl Schedule {
    pub(super) fn new<F, A>(name: Option<&'static str>, times: Times, function: F) -> Self
    where
        F: Function<A> + 'static,
        A: FromSchedule + 'static,
        F::Output: IntoOutcome,
    {
        const { assert_captures_nothing::<F>() };
        let run = move |due: &Due| function.call(A::from_schedule(due)?).into_outcome();
        Schedule {
            name: name.map_or(Name::OfFunction(type_name::<F>()), Name::Given),
            times,
            run: Box::new(run),
        }
    }

    /// Returns the times as they are declared: `every 5s`, `0 3 * * *`.
    pub(crate) fn spec(&self) -> String {
        match self.times {
            Times::Every(length) => ["every ", length].concat(),
            Times::Spec(spec) => spec.to_owned(),
        }
    }

    /// Returns the name: the given one, or that of the function. A closure has no name, so that its times are written as
    /// one: `every-5s`, `0-3-x-x-x`.
    pub(crate) fn name(&self) -> String {
        let path = match self.name {
            Name::Given(name) => return name.to_owned(),
            Name::OfFunction(path) => path,
        };
        // The arguments of a generic function follow its name.
        let path = path.split('<').next().unwrap_or(path);
        let name = path.rsplit(':').next().unwrap_or(path);
        if !name.starts_with('{') {
            return name.to_owned();
        }
        let sign = |c: char| match c {
            '*' => 'x',
            '/' => '_',
            ',' => '.',
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        };
        self.spec().chars().map(sign).collect()
    }
}
