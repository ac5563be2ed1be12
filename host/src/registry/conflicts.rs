//! Decides between files that want the same route.
//!
//! Files that are served keep their routes. New versions of them go before newcomers. Among newcomers, required ones go
//! first, and among equals the order of names decides. One map from route to owner finds all conflicts, so the work
//! grows with the number of routes and not with its square.

use std::collections::{BTreeMap, HashMap};

use http::Method;

use crate::runtime::kinds::route::Route;

/// Two handlers want the same route.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "route {route} is already served by {incumbent}; give one of them another path, or remove one of the files"
)]
pub struct Conflict {
    /// The route: `GET /path`.
    pub route: String,
    /// The file that keeps the route.
    pub incumbent: String,
}

/// A file, with the routes that it serves and wants.
pub(super) struct Contender<'a> {
    pub(super) name: &'a str,
    /// True if nothing is answered without it.
    pub(super) is_required: bool,
    /// The routes that are served now.
    pub(super) serving: Option<&'a [Route]>,
    /// The routes of the version that waits to be served.
    pub(super) waiting: Option<&'a [Route]>,
}

/// Two routes are the same if their keys are equal.
type Key<'a> = (Option<&'a Method>, &'a str);

/// Returns the files whose waiting version cannot be served, because others serve its routes.
pub(super) fn conflicts(mut contenders: Vec<Contender<'_>>) -> HashMap<String, Conflict> {
    contenders.sort_by_key(|one| (!one.is_required, one.name));
    let mut claims = Claims::default();
    let all = || contenders.iter();
    for keeper in all().filter(|one| one.waiting.is_none()) {
        claims.grant(keeper.name, keeper.serving.unwrap_or_default());
    }
    let updates: BTreeMap<&str, &Contender<'_>> = all()
        .filter(|one| one.serving.is_some() && one.waiting.is_some())
        .map(|one| (one.name, one))
        .collect();
    for (name, update) in &updates {
        claims.judge_update(name, update, &updates);
    }
    claims.reconsider(&updates);
    for newcomer in all().filter(|one| one.serving.is_none()) {
        let routes = newcomer.waiting.unwrap_or_default();
        match claims.find(newcomer.name, routes) {
            Some(conflict) => claims.refuse(newcomer.name, conflict),
            None => claims.grant(newcomer.name, routes),
        }
    }
    claims.refused
}

/// The owner of each route, and the files that were refused.
#[derive(Default)]
struct Claims<'a> {
    owners: HashMap<Key<'a>, &'a str>,
    refused: HashMap<String, Conflict>,
}

fn keys(route: &Route) -> impl Iterator<Item = Key<'_>> {
    let method = route.method.as_ref();
    route.patterns().map(move |pattern| (method, pattern))
}

impl<'a> Claims<'a> {
    /// Accepts the new version of a file that is served, or refuses it. After a refusal the old version stays, which
    /// may be in the way of new versions that were accepted before, and so on.
    fn judge_update(
        &mut self,
        name: &str,
        update: &Contender<'a>,
        updates: &BTreeMap<&'a str, &Contender<'a>>,
    ) {
        let waiting = update.waiting.unwrap_or_default();
        if self.refused.contains_key(name) {
            return;
        }
        let Some(conflict) = self.find(name, waiting) else {
            return self.grant(update.name, waiting);
        };
        let mut refused = vec![(update, conflict)];
        while let Some((loser, conflict)) = refused.pop() {
            self.refuse(loser.name, conflict);
            for route in loser.serving.unwrap_or_default() {
                let owners: Vec<&str> = keys(route)
                    .filter_map(|key| self.owners.get(&key).copied())
                    .collect();
                // Only new versions can have taken a route that was served: it belongs to its old owner.
                let takers = owners.iter().filter_map(|owner| updates.get(owner));
                for taker in takers.filter(|taker| taker.name != loser.name) {
                    self.revoke(taker.waiting.unwrap_or_default());
                    refused.push((taker, Conflict::new(route, loser.name)));
                }
            }
            self.grant(loser.name, loser.serving.unwrap_or_default());
        }
    }

    /// Accepts refused versions whose routes have become free, because the version that had taken them was refused
    /// itself. An accepted version frees the routes of its old one, so this goes on until nothing changes.
    fn reconsider(&mut self, updates: &BTreeMap<&'a str, &Contender<'a>>) {
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for (name, update) in updates {
                let waiting = update.waiting.unwrap_or_default();
                if self.refused.contains_key(*name) && self.find(name, waiting).is_none() {
                    self.refused.remove(*name);
                    self.revoke(update.serving.unwrap_or_default());
                    self.grant(name, waiting);
                    has_changed = true;
                }
            }
        }
    }

    fn find(&self, name: &str, routes: &[Route]) -> Option<Conflict> {
        routes.iter().find_map(|route| {
            let mut owners = keys(route).filter_map(|key| self.owners.get(&key));
            let owner = owners.find(|owner| **owner != name)?;
            Some(Conflict::new(route, owner))
        })
    }

    fn grant(&mut self, name: &'a str, routes: &'a [Route]) {
        self.owners
            .extend(routes.iter().flat_map(keys).map(|key| (key, name)));
    }

    fn revoke(&mut self, routes: &'a [Route]) {
        for key in routes.iter().flat_map(keys) {
            self.owners.remove(&key);
        }
    }

    fn refuse(&mut self, name: &str, conflict: Conflict) {
        self.refused.insert(name.to_owned(), conflict);
    }
}

impl Conflict {
    fn new(route: &Route, incumbent: &str) -> Self {
        Self {
            route: route.name(),
            incumbent: incumbent.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str]) -> Vec<Route> {
        let route = |path: &&str| Route {
            method: Some(Method::GET),
            path: (*path).to_owned(),
            pattern: (*path).to_owned(),
            params: Vec::new(),
            below: None,
        };
        paths.iter().map(route).collect()
    }

    /// The paths of a version, if there is one.
    type Paths = Option<&'static [&'static str]>;

    const A: Paths = Some(&["/a"]);
    const X: Paths = Some(&["/x"]);
    const Y: Paths = Some(&["/y"]);
    const Z: Paths = Some(&["/z"]);

    /// Names the refused of files, each with what it serves and what waits.
    fn refused(files: &[(&str, Paths, Paths)]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(name, serving, waiting)| (*name, serving.map(routes), waiting.map(routes)))
            .collect();
        let contenders: Vec<_> = files
            .iter()
            .map(|(name, serving, waiting)| Contender {
                name,
                is_required: false,
                serving: serving.as_deref(),
                waiting: waiting.as_deref(),
            })
            .collect();
        let mut refused: Vec<_> = conflicts(contenders).into_keys().collect();
        refused.sort();
        refused
    }

    #[test]
    fn l10_who_is_served_keeps_its_route_and_names_decide_between_newcomers() {
        assert_eq!(refused(&[("a", None, A), ("b", A, None)]), ["a"]);
        assert_eq!(refused(&[("a", None, A), ("b", None, A)]), ["b"]);
        assert!(refused(&[("a", A, A)]).is_empty());
    }

    #[test]
    fn l10_files_may_swap_their_routes() {
        assert!(refused(&[("a", X, Y), ("b", Y, X)]).is_empty());
    }

    #[test]
    fn l10_the_old_version_of_a_refused_one_keeps_its_routes() {
        // b cannot have z, so it keeps y, so a cannot have y and keeps x, which n cannot have.
        let files = [("a", X, Y), ("b", Y, Z), ("k", Z, None), ("n", None, X)];
        assert_eq!(refused(&files), ["a", "b", "n"]);
    }

    #[test]
    fn l10_a_route_that_becomes_free_again_is_given_to_who_was_refused_because_of_it() {
        const V: Paths = Some(&["/v"]);
        const W: Paths = Some(&["/w"]);
        const WY: Paths = Some(&["/w", "/y"]);
        // a takes w and y, so b cannot have w. c cannot have z and keeps y, so a keeps x, and w is free for b.
        let files = [("a", X, WY), ("b", V, W), ("c", Y, Z), ("k", Z, None)];
        assert_eq!(refused(&files), ["a", "c"]);
        // What b served is free then, too.
        let files = [
            ("a", X, WY),
            ("b", V, W),
            ("c", Y, Z),
            ("k", Z, None),
            ("n", None, V),
        ];
        assert_eq!(refused(&files), ["a", "c"]);
    }

    #[test]
    fn l14_as_many_routes_as_are_allowed_are_judged_in_one_walk() {
        let all: Vec<Vec<Route>> = (0..256)
            .map(|file| {
                let paths: Vec<_> = (0..256).map(|index| format!("/{file}/{index}")).collect();
                let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                paths.push("/same");
                routes(&paths)
            })
            .collect();
        let names: Vec<_> = (0..256).map(|file| format!("{file:03}")).collect();
        let contenders: Vec<_> = names
            .iter()
            .zip(&all)
            .map(|(name, routes)| Contender {
                name,
                is_required: false,
                serving: None,
                waiting: Some(routes),
            })
            .collect();
        assert_eq!(conflicts(contenders).len(), 255);
    }
}
