//! The entries of an app. Each has the data that is declared to the host and the function that the host calls.

use crate::answer::{IntoAck, IntoOutcome, IntoResponse, IntoVerdict, Response};
use crate::connection::Connection;
use crate::error::Result;
use crate::event::Event;
use crate::extract::{FromConnection, FromEvent, FromRequest};
use crate::function::{Function, assert_captures_nothing};
use crate::payload::Payload;
use crate::request::Request;

/// A function that takes a source of arguments and returns its answer. It captures nothing, so the box does not
/// allocate.
type Call<From, To> = Box<dyn Fn(&From) -> Result<To>>;

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
