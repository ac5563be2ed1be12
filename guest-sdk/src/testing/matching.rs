//! Finds the route that answers a request, with the same precedence as the server.
//!
//! A static segment takes precedence over a parameter, and a parameter over a rest. A route for the method takes
//! precedence over a route for any method.

use crate::app::Route;
use crate::urlencoded;

/// Names and values of a route's parameters.
pub(super) type Params = Vec<(String, String)>;

/// Result of the search for a route.
pub(super) enum Found {
    /// The index of the route.
    Route(usize, Params),
    /// A route matches the path, but not the method.
    OtherMethods,
    Nothing,
}

/// Returns the route for a method and path. A HEAD request is answered by a GET route if there is no other.
pub(super) fn find(routes: &[Route], method: &str, path: &str) -> Found {
    let matching = |(index, route): (usize, &Route)| Some((index, matches(route.path, path)?));
    let fitting: Vec<_> = routes.iter().enumerate().filter_map(matching).collect();
    let Some(best) = fitting.iter().map(|(_, (ranks, _))| ranks.clone()).min() else {
        return Found::Nothing;
    };
    let answers = |wanted: &str| {
        fitting
            .iter()
            .find(|(index, (ranks, _))| *ranks == best && routes[*index].method == wanted)
    };
    let get = || {
        if method == "HEAD" {
            answers("GET")
        } else {
            None
        }
    };
    match answers(method).or_else(get).or_else(|| answers("")) {
        Some((index, (_, params))) => Found::Route(*index, params.clone()),
        None => Found::OtherMethods,
    }
}

/// Matches a path against a pattern. Returns the rank of each segment (0 static, 1 parameter, 2 rest) and the
/// parameters.
fn matches(pattern: &str, path: &str) -> Option<(Vec<u8>, Params)> {
    let (mut ranks, mut params) = (Vec::new(), Params::new());
    let mut rest = path.trim_end_matches('/');
    for segment in pattern.trim_end_matches('/').split('/').skip(1) {
        let left = rest.strip_prefix('/')?;
        let (text, after) = left.find('/').map_or((left, ""), |end| left.split_at(end));
        let name = segment
            .strip_prefix('{')
            .and_then(|segment| segment.strip_suffix('}'));
        rest = after;
        match name {
            None if segment == text => ranks.push(0),
            None => return None,
            Some(name) => {
                let is_rest = name.starts_with('*');
                let raw = if is_rest {
                    rest = "";
                    left
                } else {
                    text
                };
                let value = urlencoded::decode(raw, b'+')
                    .ok()
                    .filter(|value| !value.is_empty())?;
                ranks.push(1 + u8::from(is_rest));
                params.push((name.trim_start_matches('*').to_owned(), value));
            }
        }
    }
    rest.is_empty().then_some((ranks, params))
}

/// Returns true if a policy's prefix matches the first segments of a path.
pub(super) fn covers(prefix: &str, path: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        let route = |method, path| Route::new(method, path, || ());
        let routes = [
            route("GET", "/a/{x}"),
            route("", "/a/b"),
            route("POST", "/a/b"),
            route("GET", "/f/{*rest}"),
            route("GET", "/"),
        ];
        match find(&routes, method, path) {
            Found::Route(index, params) => {
                format!("{} {} {params:?}", routes[index].method, routes[index].path)
            }
            Found::OtherMethods => "405".to_owned(),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn the_most_special_route_answers() {
        assert_eq!(found("GET", "/"), "GET / []");
        assert_eq!(found("GET", "/a/b"), " /a/b []");
        assert_eq!(found("POST", "/a/b/"), "POST /a/b []");
        assert_eq!(found("HEAD", "/a/x%20y"), r#"GET /a/{x} [("x", "x y")]"#);
        assert_eq!(
            found("GET", "/f/a/b"),
            r#"GET /f/{*rest} [("rest", "a/b")]"#
        );
        assert_eq!(found("POST", "/a/c"), "405");
        assert_eq!(found("GET", "/a"), "404");
        assert_eq!(found("GET", "/a/b/c"), "404");
    }

    #[test]
    fn prefixes_match_whole_segments() {
        assert!(covers("/api", "/api") && covers("/api", "/api/x") && covers("/", "/x"));
        assert!(!covers("/api", "/apix"));
    }
}
