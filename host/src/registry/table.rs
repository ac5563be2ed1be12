//! The table of routes, policies, listeners and hooks. It is made from the handlers that are served and never changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use http::Method;

use super::endpoint::{Endpoint, rank};
use super::entry::Entry;
use super::served::Served;
use crate::names::REQUESTS;
use crate::names::bare;
use crate::path;
use crate::runtime::kinds::policy::{Policy, Stage};

/// The first segment of paths that never belong to pages, whatever handlers are served.
const API: &str = "api";

/// The declarations of all handlers that are served.
#[derive(Default)]
pub struct Table {
    /// The handlers that are served, by name.
    pub handlers: Vec<Arc<Served>>,
    /// Required handlers that are not served. Nothing is answered while there is one.
    pub missing: Vec<String>,
    /// True if the folder has been read.
    pub ready: bool,
    /// Patterns with as many segments as the paths that they match.
    router: matchit::Router<Endpoint>,
    /// Patterns that end in a rest, the most particular first. They are kept apart because the radix tree cannot hold
    /// `/{name}` beside `/{*rest}`.
    rests: Vec<Endpoint>,
    /// The first segments of the routes, where they are static.
    prefixes: HashSet<String>,
    policies: Vec<(Entry, Policy)>,
    namespaces: HashMap<String, Namespace>,
    /// True if one of the handlers is a component of `wasi:http`.
    has_streams: bool,
}

/// The listeners and hooks of one namespace.
#[derive(Default)]
struct Namespace {
    listeners: Vec<FileListeners>,
    hooks: Vec<Entry>,
}

/// The listeners of one file in one namespace.
struct FileListeners {
    handler: Arc<Served>,
    named: HashMap<String, u32>,
    all: Option<u32>,
}

/// The result of looking for a route.
pub enum Matched {
    /// A route, and the parameters of its pattern, decoded.
    Route(Entry, Arc<[(String, String)]>),
    /// The path has routes, but not for this method. The methods are those that it has.
    OtherMethods(Vec<Method>),
    /// No route has the path.
    Nothing,
}

impl Table {
    /// Makes the table of handlers among which there is no conflict.
    pub(super) fn new(mut handlers: Vec<Arc<Served>>, required: &[String]) -> Self {
        handlers.sort_by(|a, b| a.name.cmp(&b.name));
        let served: HashSet<&str> = handlers.iter().map(|handler| bare(&handler.name)).collect();
        let missing = required
            .iter()
            .filter(|name| !served.contains(name.as_str()))
            .cloned()
            .collect();
        let mut table = Self {
            missing,
            ready: true,
            ..Self::default()
        };
        table.route(&handlers);
        table.listen(&handlers);
        table.guard(&handlers);
        table.has_streams = handlers.iter().any(|handler| handler.is_wasi_http());
        table.handlers = handlers;
        table
    }

    /// Makes the table of a server that still reads its folder: the routes of `certain` that have a method and no
    /// parameters, and the namespaces and policies of all handlers that are ready. Both are sorted by name.
    pub(super) fn growing(certain: Vec<Arc<Served>>, ready: &[Arc<Served>]) -> Self {
        let mut table = Self::default();
        table.route(&certain);
        table.listen(ready);
        table.guard(ready);
        table.handlers = certain;
        table
    }

    /// Returns true if a request is answered although the folder has not been read completely.
    pub fn has_certain(&self, method: &Method, path: &str) -> bool {
        // HEAD falls back to GET, and a file that is not ready may answer it itself.
        *method != Method::HEAD && matches!(self.matched(method, path), Matched::Route(..))
    }

    fn route(&mut self, handlers: &[Arc<Served>]) {
        let mut endpoints: HashMap<&str, Endpoint> = HashMap::new();
        let is_complete = self.ready;
        let routes = each(handlers, |handler| &handler.declarations.routes);
        let routes = routes.filter(|(_, _, route)| {
            is_complete
                || (route.method.is_some() && route.below.is_none() && !route.pattern.contains('{'))
        });
        let patterns = routes.flat_map(|(handler, index, route)| {
            let patterns = route.patterns();
            patterns.map(move |pattern| (handler, index, route, pattern))
        });
        for (handler, index, route, pattern) in patterns {
            let endpoint = endpoints.entry(pattern).or_default();
            if endpoint.pattern.is_empty() {
                endpoint.pattern = pattern.to_owned();
                endpoint.rank = rank(pattern);
            }
            let entry = Entry {
                handler: Arc::clone(handler),
                index,
            };
            match &route.method {
                Some(method) => endpoint.by_method.push((method.clone(), entry)),
                None => endpoint.any = Some(entry),
            }
        }
        for (pattern, endpoint) in endpoints {
            let prefix = path::first_segment(pattern);
            if !prefix.is_empty() && !prefix.starts_with('{') {
                self.prefixes.insert(prefix.to_owned());
            }
            if pattern.contains("{*") {
                self.rests.push(endpoint);
            } else if let Err(error) = self.router.insert(pattern, endpoint) {
                // Patterns have one spelling each, so the router has no reason to refuse one.
                tracing::error!("the pattern {pattern} cannot be routed: {error}");
            }
        }
        self.rests.sort_by(|a, b| a.rank.cmp(&b.rank));
    }

    fn listen(&mut self, handlers: &[Arc<Served>]) {
        for builtin in ["/", REQUESTS] {
            self.namespaces.entry(builtin.to_owned()).or_default();
        }
        for (handler, index, listener) in each(handlers, |handler| &handler.declarations.listeners)
        {
            let namespace = self
                .namespaces
                .entry(listener.namespace.clone())
                .or_default();
            let file = namespace.of_file(handler);
            if listener.event == "*" {
                file.all = Some(index);
            } else {
                file.named.insert(listener.event.clone(), index);
            }
        }
        for (handler, index, hook) in each(handlers, |handler| &handler.declarations.connections) {
            let namespace = self.namespaces.entry(hook.namespace.clone()).or_default();
            namespace.hooks.push(Entry {
                handler: Arc::clone(handler),
                index,
            });
        }
    }

    fn guard(&mut self, handlers: &[Arc<Served>]) {
        let policies = each(handlers, |handler| &handler.declarations.policies);
        self.policies = policies
            .map(|(handler, index, policy)| {
                (
                    Entry {
                        handler: Arc::clone(handler),
                        index,
                    },
                    policy.clone(),
                )
            })
            .collect();
    }

    /// Returns the route that answers a request.
    pub fn matched(&self, method: &Method, path: &str) -> Matched {
        let rest = self
            .rests
            .iter()
            .find_map(|endpoint| Some((endpoint, endpoint.rest_values(path)?)));
        let exact = self.router.at(path).ok().map(|found| {
            let values = found.params.iter().map(|(_, value)| value);
            (found.value, values.collect())
        });
        let (endpoint, values): (&Endpoint, Vec<&str>) = match (exact, rest) {
            (Some(exact), Some(rest)) if rest.0.rank < exact.0.rank => rest,
            (Some(found), _) | (None, Some(found)) => found,
            (None, None) => return Matched::Nothing,
        };
        let Some(entry) = endpoint.of(method) else {
            return Matched::OtherMethods(endpoint.allowed());
        };
        let names = &entry.handler.declarations.routes[entry.index as usize].params;
        let values = values.into_iter().map(path::decode);
        let params = names.iter().cloned().zip(values).collect();
        Matched::Route(entry.clone(), params)
    }

    /// Returns true if a request is answered by a component of `wasi:http`, which reads the body while it arrives, and
    /// no policy concerns the request, which would see the whole body.
    pub fn streams(&self, method: &Method, path: &str) -> bool {
        let is_seen = || {
            let policies = self.policies.iter();
            policies
                .into_iter()
                .any(|(_, policy)| policy.matches(method, path))
        };
        let is_read = || match self.matched(method, path) {
            Matched::Route(entry, _) => entry.handler.is_wasi_http(),
            Matched::OtherMethods(_) | Matched::Nothing => false,
        };
        self.has_streams && !is_seen() && is_read()
    }

    /// Returns true if a path belongs to handlers, so that no page answers it: a route begins with the same segment, or
    /// the path begins with `/api`.
    pub fn claims(&self, path: &str) -> bool {
        let prefix = path::first_segment(path);
        prefix == API || self.prefixes.contains(prefix)
    }

    /// Returns the policies of a stage that concern a request, in the order in which they run.
    pub fn policies<'a>(
        &'a self,
        stage: Stage,
        method: &'a Method,
        path: &'a str,
    ) -> impl Iterator<Item = &'a Entry> {
        let concerned = self
            .policies
            .iter()
            .filter(move |(_, policy)| policy.stage == stage && policy.matches(method, path));
        concerned.map(|(entry, _)| entry)
    }

    /// Returns true if clients may connect to a namespace.
    pub fn declares(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Returns the namespaces that clients may connect to.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.namespaces.keys().map(String::as_str).collect()
    }

    /// Returns the listeners of an event, in the order of their files.
    pub fn listeners(&self, namespace: &str, event: &str) -> Vec<Entry> {
        let Some(namespace) = self.namespaces.get(namespace) else {
            return Vec::new();
        };
        let of_file = |file: &FileListeners| {
            let index = file.named.get(event).copied().or(file.all)?;
            Some(Entry {
                handler: Arc::clone(&file.handler),
                index,
            })
        };
        namespace.listeners.iter().filter_map(of_file).collect()
    }

    /// Returns the connection hooks of a namespace, in the order of their files.
    pub fn hooks(&self, namespace: &str) -> &[Entry] {
        self.namespaces
            .get(namespace)
            .map_or(&[], |namespace| &namespace.hooks)
    }
}

impl Namespace {
    /// Returns the listeners of a file. Handlers come one after the other, so they are the last if they exist.
    fn of_file(&mut self, handler: &Arc<Served>) -> &mut FileListeners {
        if self
            .listeners
            .last()
            .is_none_or(|last| !Arc::ptr_eq(&last.handler, handler))
        {
            self.listeners.push(FileListeners {
                handler: Arc::clone(handler),
                named: HashMap::new(),
                all: None,
            });
        }
        self.listeners
            .last_mut()
            .expect("one was pushed if there was none")
    }
}

/// Returns each declaration of one kind, with its handler and its index.
fn each<'a, T: 'a>(
    handlers: &'a [Arc<Served>],
    of: impl Fn(&'a Served) -> &'a Vec<T> + 'a,
) -> impl Iterator<Item = (&'a Arc<Served>, u32, &'a T)> {
    let indexed = move |handler: &'a Arc<Served>| {
        of(handler)
            .iter()
            .zip(0..)
            .map(move |(item, index)| (handler, index, item))
    };
    handlers.iter().flat_map(indexed)
}

/// Returns true if `handlers.required` names this file.
pub(super) fn is_required(name: &str, required: &[String]) -> bool {
    required.iter().any(|required| required == bare(name))
}
