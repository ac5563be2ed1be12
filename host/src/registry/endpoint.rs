//! The routes of one pattern, and the order of patterns that match the same path.

use http::Method;

use super::entry::Entry;

/// The routes of one pattern.
#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) pattern: String,
    /// Orders patterns that match the same path, see [`rank`].
    pub(super) rank: Vec<u8>,
    pub(super) by_method: Vec<(Method, Entry)>,
    pub(super) any: Option<Entry>,
}

/// Returns what orders patterns that match the same path: at the first segment in which they differ in kind, a static
/// one goes before a parameter, and a parameter before a rest.
pub(super) fn rank(pattern: &str) -> Vec<u8> {
    let kind = |segment: &str| match segment {
        rest if rest.starts_with("{*") => 2,
        parameter if parameter.starts_with('{') => 1,
        _ => 0,
    };
    pattern.split('/').map(kind).collect()
}

impl Endpoint {
    /// Returns the values of the parameters if the pattern, which ends in a rest, matches a path. A rest is not empty.
    pub(super) fn rest_values<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut values = Vec::new();
        let mut rest = path.strip_prefix('/')?;
        for segment in self.pattern.split('/').skip(1) {
            if segment.starts_with("{*") {
                values.push(rest);
                return (!rest.is_empty()).then_some(values);
            }
            let (first, others) = rest.split_once('/')?;
            if segment.starts_with('{') {
                values.push(first);
            } else if segment != first {
                return None;
            }
            rest = others;
        }
        None
    }

    /// Returns the route for a method. An explicit method goes before a route for all, and HEAD falls back to GET.
    pub(super) fn of(&self, method: &Method) -> Option<&Entry> {
        let named = |wanted: &Method| {
            self.by_method
                .iter()
                .find(|(own, _)| own == wanted)
                .map(|(_, entry)| entry)
        };
        let fallback = || {
            if method == Method::HEAD {
                named(&Method::GET)
            } else {
                None
            }
        };
        named(method).or_else(fallback).or(self.any.as_ref())
    }

    /// Returns the methods for the header `allow`.
    pub(super) fn allowed(&self) -> Vec<Method> {
        let mut methods: Vec<Method> = self
            .by_method
            .iter()
            .map(|(method, _)| method.clone())
            .collect();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        if !methods.contains(&Method::OPTIONS) {
            methods.push(Method::OPTIONS);
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Endpoint {
        Endpoint {
            pattern: pattern.to_owned(),
            ..Endpoint::default()
        }
    }

    #[test]
    fn a_rest_takes_what_is_left() {
        let pattern = of("/a/{p0}/{*p1}");
        assert_eq!(pattern.rest_values("/a/b/c/d"), Some(vec!["b", "c/d"]));
        for path in ["/", "/a", "/a/b", "/a/b/", "/x/b/c"] {
            assert_eq!(pattern.rest_values(path), None, "{path}");
        }
        assert_eq!(of("/{*p0}").rest_values("/"), None);
    }

    #[test]
    fn static_goes_before_a_parameter_before_a_rest() {
        assert!(rank("/api/{p0}") < rank("/api/{*p0}"));
        assert!(rank("/api/hello/{*p0}") < rank("/api/{p0}/{p1}"));
        assert!(rank("/api/{p0}/x") < rank("/api/{p0}/{*p1}"));
    }
}
