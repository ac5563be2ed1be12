//! What handlers declare, as it is shown to programs: the same JSON in the console and in what commands print.

use std::sync::Arc;

use http::Method;
use serde::Serialize;

use super::{Declarations, Handler, Listener, Policy, Route};

/// All that a handler declares: `{routes, policies, listeners, hooks}`.
#[derive(Serialize)]
pub struct DeclarationsShown<'a> {
    /// In the order in which they were declared, as are all the others.
    pub routes: Vec<RouteShown<'a>>,
    /// What it looks at before and after.
    pub policies: Vec<PolicyShown<'a>>,
    /// What it listens to.
    pub listeners: Vec<ListenerShown<'a>>,
    /// The namespaces of its connection hooks: `["/"]`.
    pub hooks: &'a [String],
}

/// `{"method": "GET", "path": "/a/{x}"}`
#[derive(Serialize)]
pub struct RouteShown<'a> {
    /// `*` stands for every method that no other route of the path names.
    pub method: &'a str,
    /// As it was written.
    pub path: &'a str,
}

/// `{"stage": "before", "method": "*", "prefix": "/api"}`
#[derive(Serialize)]
pub struct PolicyShown<'a> {
    /// `before` or `after`.
    pub stage: &'static str,
    /// `*` stands for all.
    pub method: &'a str,
    /// In normal form.
    pub prefix: &'a str,
}

/// `{"namespace": "/chat", "event": "say"}`
#[derive(Serialize)]
pub struct ListenerShown<'a> {
    /// `/` or `/…`.
    pub namespace: &'a str,
    /// `*` stands for all that its file does not name.
    pub event: &'a str,
}

/// Something shown among that of other handlers, with whose it is: its own fields, and `handler`.
#[derive(Serialize)]
pub struct Of<'a, T> {
    /// What was declared.
    #[serde(flatten)]
    pub what: T,
    /// The name of the file.
    pub handler: &'a str,
}

impl<'a> From<&'a Declarations> for DeclarationsShown<'a> {
    fn from(declared: &'a Declarations) -> Self {
        Self {
            routes: declared.routes.iter().map(RouteShown::from).collect(),
            policies: declared.policies.iter().map(PolicyShown::from).collect(),
            listeners: declared.listeners.iter().map(ListenerShown::from).collect(),
            hooks: &declared.connections,
        }
    }
}

impl<'a> From<&'a Route> for RouteShown<'a> {
    fn from(route: &'a Route) -> Self {
        Self {
            method: method(route.method.as_ref()),
            path: &route.path,
        }
    }
}

impl<'a> From<&'a Policy> for PolicyShown<'a> {
    fn from(policy: &'a Policy) -> Self {
        Self {
            stage: policy.stage.name(),
            method: method(policy.method.as_ref()),
            prefix: &policy.prefix,
        }
    }
}

impl<'a> From<&'a Listener> for ListenerShown<'a> {
    fn from(listener: &'a Listener) -> Self {
        Self {
            namespace: &listener.namespace,
            event: &listener.event,
        }
    }
}

/// The routes of all these handlers: by path, then by method.
pub fn routes_of(handlers: &[Arc<Handler>]) -> Vec<Of<'_, RouteShown<'_>>> {
    let mut routes: Vec<_> = each(handlers, |declared| &declared.routes).collect();
    routes.sort_by_key(|of: &Of<'_, RouteShown<'_>>| (of.what.path, of.what.method));
    routes
}

/// Every declaration of one kind, in the order of the handlers.
pub fn each<'a, T: 'a, S: From<&'a T>>(
    handlers: &'a [Arc<Handler>],
    of: impl Fn(&'a Declarations) -> &'a Vec<T>,
) -> impl Iterator<Item = Of<'a, S>> {
    handlers.iter().flat_map(move |handler| {
        let declared = of(&handler.declarations).iter();
        declared.map(|one| Of {
            what: S::from(one),
            handler: &handler.name,
        })
    })
}

/// `*` stands for none in particular.
fn method(method: Option<&Method>) -> &str {
    method.map_or("*", Method::as_str)
}
