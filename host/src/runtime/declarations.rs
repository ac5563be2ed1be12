//! What a handler declares, checked: routes, policies, listeners and connection hooks.

use std::fmt;

use http::Method;

use super::error::LoadError;
pub(super) use super::imports::registration::Description;
pub use super::imports::registration::Stage;
use super::pattern;
use super::shown::{PolicyShown, RouteShown};
use crate::emitter::{REQUESTS, RESERVED};
use crate::path;

/// Declarations of one kind that a handler may have.
const MAX_COUNT: usize = 256;
/// Bytes of text of one declaration.
const MAX_TEXT: usize = 1024;

/// What a handler declares. A position in a list is the index with which the guest is called.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    /// What it answers.
    pub routes: Vec<Route>,
    /// What it looks at before and after.
    pub policies: Vec<Policy>,
    /// What it listens to.
    pub listeners: Vec<Listener>,
    /// The namespaces whose connections it is asked about.
    pub connections: Vec<String>,
    /// What is possible and hardly meant, a sentence each.
    pub warnings: Vec<String>,
}

/// A method and a pattern.
#[derive(Clone, Debug)]
pub struct Route {
    /// None stands for every method that no other route of the pattern names.
    pub method: Option<Method>,
    /// As it was written.
    pub path: String,
    /// In normal form with parameters named by their position, so that equal patterns are equal text.
    pub pattern: String,
    /// The names of the parameters, in order.
    pub params: Vec<String>,
}

/// A stage, a method and a prefix.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Before or after.
    pub stage: Stage,
    /// None stands for all.
    pub method: Option<Method>,
    /// In normal form; `/` matches everything.
    pub prefix: String,
}

impl Policy {
    /// Whether it concerns a request. Prefixes match in whole segments.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let rest = path.strip_prefix(self.prefix.trim_end_matches('/'));
        // HEAD falls back to the routes of GET, so the guards of GET must stand before it too.
        let is_mine =
            |own: &Method| own == method || (method == Method::HEAD && own == Method::GET);
        self.method.as_ref().is_none_or(is_mine)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A namespace and an event, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `/` or `/…`.
    pub namespace: String,
    /// `*` stands for all that this file does not name.
    pub event: String,
}

impl Declarations {
    /// Checks what `describe` said.
    pub(super) fn check(description: Description) -> Result<Self, LoadError> {
        let Description {
            routes,
            policies,
            listeners,
            connections,
        } = description;
        for (kind, count) in [
            ("routes", routes.len()),
            ("policies", policies.len()),
            ("listeners", listeners.len()),
            ("connection hooks", connections.len()),
        ] {
            if count > MAX_COUNT {
                return refuse(format!(
                    "it declares more than {MAX_COUNT} {kind}; split it into several handlers"
                ));
            }
        }
        let warnings = warnings(&routes, &policies);
        let declarations = Self {
            warnings,
            routes: routes.into_iter().map(route).collect::<Result<_, _>>()?,
            policies: policies.into_iter().map(policy).collect::<Result<_, _>>()?,
            listeners: listeners
                .into_iter()
                .map(listener)
                .collect::<Result<_, _>>()?,
            connections: connections
                .into_iter()
                .map(connection)
                .collect::<Result<_, _>>()?,
        };
        declarations.check_twice()?;
        Ok(declarations)
    }

    fn check_twice(&self) -> Result<(), LoadError> {
        for (index, route) in self.routes.iter().enumerate() {
            let same =
                |other: &&Route| other.method == route.method && other.pattern == route.pattern;
            if let Some(other) = self.routes[..index].iter().find(same) {
                return refuse(format!(
                    "it declares the route {} twice ({} and {}); remove one",
                    route.name(),
                    other.path,
                    route.path
                ));
            }
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            if self.listeners[..index].contains(listener) {
                let Listener { namespace, event } = listener;
                return refuse(format!(
                    "it listens twice to the event {event:?} of {namespace}; remove one"
                ));
            }
        }
        Ok(())
    }

    /// Each declaration in a few words: `GET /a`, `before * /api`, `event say`, `connections of /`.
    pub fn lines(&self) -> Vec<String> {
        let routes = self.routes.iter().map(Route::name);
        let policies = self.policies.iter().map(ToString::to_string);
        let listeners = self.listeners.iter().map(ToString::to_string);
        let hooks = self
            .connections
            .iter()
            .map(|namespace| format!("connections of {namespace}"));
        routes
            .chain(policies)
            .chain(listeners)
            .chain(hooks)
            .collect()
    }
}

impl fmt::Display for Declarations {
    /// [`Declarations::lines`] in one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        if lines.is_empty() {
            return formatter.write_str("it declares nothing");
        }
        formatter.write_str(&lines.join(", "))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyShown {
            stage,
            method,
            prefix,
        } = self.into();
        write!(formatter, "{stage} {method} {prefix}")
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "/" => write!(formatter, "event {}", self.event),
            namespace => write!(formatter, "event {} of {namespace}", self.event),
        }
    }
}

impl Route {
    /// `GET /path`, or `* /path`.
    pub fn name(&self) -> String {
        let RouteShown { method, path } = self.into();
        format!("{method} {path}")
    }
}

/// What looks like a parameter of another framework is text here, and a prefix has no parameters at all: a guard written so would
/// stand before nothing.
fn warnings(routes: &[(String, String)], policies: &[(Stage, String, String)]) -> Vec<String> {
    let of_route = |(_, path): &(String, String)| {
        Some(format!("the route {path} {}", pattern::warning(path)?))
    };
    let of_policy = |(_, _, prefix): &(Stage, String, String)| {
        let is_parameter =
            |segment: &&str| segment.starts_with('{') || pattern::foreign(segment).is_some();
        let segment = prefix.split('/').find(is_parameter)?;
        Some(format!(
            "the prefix {prefix} of a policy takes {segment:?} literally; a prefix has no parameters and covers all below it, so end \
             it before"
        ))
    };
    let (routes, policies) = (
        routes.iter().filter_map(of_route),
        policies.iter().filter_map(of_policy),
    );
    routes.chain(policies).collect()
}

fn refuse<T>(sentence: String) -> Result<T, LoadError> {
    Err(LoadError::Declaration(sentence))
}

fn check_text(kind: &str, text: &str) -> Result<(), LoadError> {
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        let start: String = text.chars().take(40).collect();
        return refuse(format!(
            "the {kind} {start:?} is longer than {MAX_TEXT} bytes or contains a control character"
        ));
    }
    Ok(())
}

fn method(name: &str) -> Result<Option<Method>, LoadError> {
    if name.is_empty() {
        return Ok(None);
    }
    match Method::from_bytes(name.as_bytes()) {
        Ok(method) if name.len() <= 32 && !name.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Ok(Some(method))
        }
        _ => refuse(format!(
            "{:?} is no method; write it in upper case, or \"\" for all",
            name.chars().take(40).collect::<String>()
        )),
    }
}

fn route((name, path): (String, String)) -> Result<Route, LoadError> {
    check_text("path", &path)?;
    let method = method(&name)?;
    let (pattern, params) = pattern::parse(&path)
        .map_err(|cause| LoadError::Declaration(format!("the route {path:?} {cause}")))?;
    Ok(Route {
        method,
        path,
        pattern,
        params,
    })
}

fn policy((stage, name, prefix): (Stage, String, String)) -> Result<Policy, LoadError> {
    check_text("prefix", &prefix)?;
    let method = method(&name)?;
    let normal = path::normal(&prefix);
    let prefix = normal.map_err(|error| {
        LoadError::Declaration(format!(
            "the prefix {prefix:?} of a policy is no path: {error}"
        ))
    })?;
    Ok(Policy {
        stage,
        method,
        prefix,
    })
}

fn check_namespace(namespace: &str) -> Result<(), LoadError> {
    check_text("namespace", namespace)?;
    let valid = namespace.starts_with('/') && !namespace.contains([',', '?', '#', ' ', '{', '}']);
    if !valid || (namespace.len() > 1 && namespace.ends_with('/')) {
        return refuse(format!(
            "the namespace {namespace:?} is not valid; write it as \"/\" or \"/name\""
        ));
    }
    if namespace.starts_with(&format!("{REQUESTS}/")) {
        return refuse(format!(
            "the namespace {namespace:?} is reserved; choose a name that is not below {REQUESTS}"
        ));
    }
    Ok(())
}

fn listener((namespace, event): (String, String)) -> Result<Listener, LoadError> {
    check_namespace(&namespace)?;
    check_text("event", &event)?;
    if namespace == REQUESTS {
        return refuse(format!(
            "it listens to {event:?} in {REQUESTS}, which is reserved for requests; use another namespace"
        ));
    }
    if RESERVED.contains(&event.as_str()) {
        return refuse(format!(
            "it listens to {event:?}, which socket.io keeps for itself; declare a connection hook instead"
        ));
    }
    Ok(Listener { namespace, event })
}

fn connection(namespace: String) -> Result<String, LoadError> {
    check_namespace(&namespace)?;
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_match_whole_segments() {
        let policy =
            |prefix: &str| policy((Stage::Before, String::new(), prefix.to_owned())).unwrap();
        assert!(policy("/api").matches(&Method::GET, "/api"));
        assert!(policy("/api").matches(&Method::GET, "/api/x"));
        assert!(!policy("/api").matches(&Method::GET, "/apix"));
        assert!(policy("/").matches(&Method::GET, "/"));
        assert!(policy("/").matches(&Method::GET, "/x"));
        let of_get = Policy {
            method: Some(Method::GET),
            ..policy("/")
        };
        assert!(of_get.matches(&Method::HEAD, "/") && !of_get.matches(&Method::POST, "/"));
    }

    #[test]
    fn a4_listeners_in_hitchy_are_refused_and_hooks_are_not() {
        for namespace in ["/hitchy", "/hitchy/x"] {
            assert!(listener((namespace.to_owned(), "event".to_owned())).is_err());
        }
        connection("/hitchy".to_owned()).expect("hooks give requests their context");
        assert!(connection("/hitchy/x".to_owned()).is_err());
    }

    #[test]
    fn l14_too_many_declarations_are_refused() {
        let routes = (0..257)
            .map(|index| (String::new(), format!("/{index}")))
            .collect();
        let error = Declarations::check(Description {
            routes,
            ..Description::default()
        })
        .unwrap_err();
        assert!(
            error.to_string().contains("more than 256 routes"),
            "{error}"
        );
    }

    #[test]
    fn what_is_hardly_meant_is_doubtful() {
        let policy = |prefix: &str| (Stage::Before, String::new(), prefix.to_owned());
        let declarations = Declarations::check(Description {
            routes: vec![("GET".to_owned(), "/x/:id".to_owned())],
            policies: vec![policy("/api"), policy("/api/*"), policy("/users/{id}")],
            ..Description::default()
        });
        let warnings = declarations.unwrap().warnings;
        assert_eq!(
            warnings[0],
            "the route /x/:id takes \":id\" literally; written {id} it is a parameter"
        );
        assert!(
            warnings[1].contains("/api/*") && warnings[2].contains("/users/{id}"),
            "{warnings:?}"
        );
        assert_eq!(warnings.len(), 3);
    }

    #[test]
    fn the_same_route_twice_in_one_file_is_refused() {
        let routes = vec![
            ("GET".to_owned(), "/a/{x}".to_owned()),
            ("GET".to_owned(), "/a/{y}".to_owned()),
        ];
        assert!(
            Declarations::check(Description {
                routes,
                ..Description::default()
            })
            .is_err()
        );
    }
}
