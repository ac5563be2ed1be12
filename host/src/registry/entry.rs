//! A declaration of a handler, as the table has it.

use std::sync::Arc;

use super::served::Served;

/// A declaration: the handler and the index with which it is called.
#[derive(Clone)]
pub struct Entry {
    /// The handler that declared it.
    pub handler: Arc<Served>,
    /// The position among the declarations of its kind.
    pub index: u32,
}

impl Entry {
    /// Returns true for a route that names no segment, such as `/{*rest}`: it takes whatever nothing else answers. A
    /// component of `wasi:http` that answers `/` and everything below has such a route.
    pub fn is_catch_all(&self) -> bool {
        let routes = &self.handler.declarations.routes;
        let route = routes.get(self.index as usize);
        route.is_some_and(|route| {
            let pattern = route.below.as_ref().unwrap_or(&route.pattern);
            pattern[1..].split('/').all(|part| part.starts_with('{'))
        })
    }
}
