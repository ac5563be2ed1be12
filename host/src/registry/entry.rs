//! A declaration of a handler, as the table has it.

use std::sync::Arc;

use super::served::Served;
use crate::runtime::Serve;

/// A declaration: the handler and the index with which it is called.
#[derive(Clone)]
pub struct Entry {
    /// The handler that declared it.
    pub handler: Arc<Served>,
    /// The position among the declarations of its kind.
    pub index: u32,
}

impl Entry {
    /// Returns true for a route that names no segment, such as `/{*rest}`: it takes whatever nothing else answers. What
    /// the file `index.wasm` answers is such a route, also `/`, if it is a component of `wasi:http` or a command. A
    /// handler that declares `/` names it.
    pub fn is_catch_all(&self) -> bool {
        let routes = &self.handler.declarations.routes;
        let route = routes.get(self.index as usize);
        route.is_some_and(|route| {
            let pattern = route.below.as_ref().unwrap_or(&route.pattern);
            let is_of_file = self.handler.settings.serve == Serve::Cgi;
            if is_of_file && pattern == "/" {
                return true;
            }
            pattern[1..].split('/').all(|part| part.starts_with('{'))
        })
    }
}
