//! Routes: a method and a pattern, answered by the guest's `http.on-request`.
//!
//! A component of `wasi:http` declares nothing. It has one route, which is made from the path of its file.

use std::sync::Arc;

use http::Method;

use super::kind::{CallKind, Kind, Row, Words, check_text, impl_export, refuse};
use super::method;
use crate::message::{Exchange, Response};
use crate::path;
use crate::runtime::bindings::exports::hitchy::platform::http as exported;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::cgi::command::Command;
use crate::runtime::convert;
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::handles::RequestHandle;
use crate::runtime::instance::lease::Owner;
use crate::runtime::pattern::{self, Pattern};

/// The call of a route for a request.
pub const REQUEST: CallKind = CallKind { name: "request" };

/// A method and a pattern.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method. `None` stands for every method that no other route of the same pattern names.
    pub method: Option<Method>,
    /// The pattern as the guest wrote it, or the words for what a component of `wasi:http` answers.
    pub path: String,
    /// The pattern in normal form, with parameters named by their position, so that equal patterns are equal texts:
    /// `/api/{p0}`.
    pub pattern: String,
    /// The names of the parameters, in order.
    pub params: Vec<String>,
    /// The pattern of all paths below `pattern`, for a component of `wasi:http`: `/api/shop/{*p0}`. No declared route
    /// has one.
    pub below: Option<String>,
}

impl Route {
    /// Makes the route of a component of `wasi:http` from the path of its file below the handlers folder:
    /// `api/shop.wasm` answers `/api/shop` and everything below, `index.wasm` its folder and everything below.
    pub(in crate::runtime) fn of_file(name: &str) -> Result<Self, LoadError> {
        let bare = name.strip_suffix(".wasm").unwrap_or(name);
        let mut segments: Vec<&str> = bare.split('/').collect();
        segments.pop_if(|last| *last == "index");
        let mut path = String::new();
        for segment in segments {
            // A file's name is no path of a url yet: a percent sign in it is one.
            let written = format!("/{}", segment.replace('%', "%25"));
            let normal = path::normal(&written).map_err(|error| {
                LoadError::Declaration(format!(
                    "it is a wasi:http component, which is served at the path of its file, and its name is no such path: {error}; \
                     rename it"
                ))
            })?;
            path.push_str(&normal);
        }
        let below = Some(format!("{path}/{{*p0}}"));
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self {
            method: None,
            pattern: path.clone(),
            path: format!("{path} and below (wasi:http)"),
            params: Vec::new(),
            below,
        })
    }

    /// Returns the name of the route in logs and tables: `GET /path`, or `* /path` for all methods.
    pub fn name(&self) -> String {
        format!("{} {}", method::name(self.method.as_ref()), self.path)
    }

    /// Returns all patterns of the route.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        [self.pattern.as_str()]
            .into_iter()
            .chain(self.below.as_deref())
    }
}

impl Kind for Route {
    /// The method and the path as the guest declared them.
    type Raw = (String, String);
    impl_export!(exported);

    const WORDS: Words = Words {
        key: "routes",
        title: "routes",
        one: "a route",
        interface: "http",
    };
    const CALLS: &'static [CallKind] = &[REQUEST];

    fn check((name, path): Self::Raw) -> Result<Self, LoadError> {
        check_text("path", &path)?;
        let method = method::parse(&name)?;
        let Pattern { normal, params } = pattern::parse(&path)
            .map_err(|error| LoadError::Declaration(format!("the route {path:?} {error}")))?;
        Ok(Self {
            method,
            path,
            pattern: normal,
            params,
            below: None,
        })
    }

    fn warning((_, path): &Self::Raw) -> Option<String> {
        Some(format!("the route {path} {}", pattern::warning(path)?))
    }

    fn check_all(all: &[Self]) -> Result<(), LoadError> {
        for (index, route) in all.iter().enumerate() {
            let same =
                |other: &&Self| other.method == route.method && other.pattern == route.pattern;
            if let Some(other) = all[..index].iter().find(same) {
                return refuse(format!(
                    "it declares the route {} twice ({} and {}); remove one",
                    route.name(),
                    other.path,
                    route.path
                ));
            }
        }
        Ok(())
    }

    fn row(&self) -> Row<'_> {
        let method = method::name(self.method.as_ref());
        Row {
            line: self.name(),
            cells: vec![("method", method), ("path", self.path.as_str())],
            sort_key: [&self.path, method],
        }
    }
}

impl Guest {
    /// Calls `on-request` of a route, by its index. `params` are the names and the decoded values of the pattern's
    /// parameters.
    pub async fn on_request(
        &self,
        context: CallContext,
        route: u32,
        exchange: Arc<Exchange>,
        params: Arc<[(String, String)]>,
    ) -> Outcome<Response> {
        if let Some(command) = self.exports.find::<Command>() {
            let rest = params.first().map(|(_, rest)| rest.as_str());
            let answer = self.request_by_cgi(context, command, &exchange, rest);
            return answer.await;
        }
        let answer = self
            .serve(context, Owner::Anyone, async |store, linked| {
                let guest = self.load::<Route>(store, linked)?;
                let request = store
                    .data_mut()
                    .handles_mut()?
                    .push(RequestHandle { exchange, params })?;
                guest.call_on_request(&mut *store, route, request).await
            })
            .await?;
        self.outcome(answer, convert::response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_6_a_component_of_wasi_http_is_served_at_the_path_of_its_file() {
        for (name, pattern, below) in [
            ("shop.wasm", "/shop", "/shop/{*p0}"),
            ("api/shop.wasm", "/api/shop", "/api/shop/{*p0}"),
            ("index.wasm", "/", "/{*p0}"),
            ("api/index.wasm", "/api", "/api/{*p0}"),
            ("index/x.wasm", "/index/x", "/index/x/{*p0}"),
            (
                "a b/{c}%.wasm",
                "/a%20b/%7Bc%7D%25",
                "/a%20b/%7Bc%7D%25/{*p0}",
            ),
        ] {
            let route = Route::of_file(name).unwrap();
            assert_eq!(route.patterns().collect::<Vec<_>>(), [pattern, below]);
        }
        assert_eq!(
            Route::of_file("api/shop.wasm").unwrap().name(),
            "* /api/shop and below (wasi:http)"
        );
    }
}
