//! What a command answers: the path of its file with all below it, and the events that the operator names.

use super::command::Command;
use crate::runtime::error::LoadError;
use crate::runtime::kinds::{Declarations, Description};

/// The name of the parameter of the second route, which is the rest of the path.
const REST: &str = "rest";

/// Returns the declarations of a command: a route for its path, a route for all paths below, and a listener for each of
/// `events`.
pub(in crate::runtime) fn declarations(
    command: &Command,
    events: &[String],
) -> Result<Declarations, LoadError> {
    let mount = &command.mount;
    let own = if mount.is_empty() { "/" } else { mount };
    let below = format!("{mount}/{{*{REST}}}");
    let route = |path: &str| (String::new(), path.to_owned());
    Declarations::check(Description {
        routes: vec![route(own), route(&below)],
        listeners: events.iter().map(|event| listener(event)).collect(),
        ..Description::default()
    })
}

/// Splits an event of the settings into namespace and name: `/chat say`, or `say` in `/`.
fn listener(event: &str) -> (String, String) {
    let (namespace, name) = match event.split_once(' ') {
        Some(parts) if event.starts_with('/') => parts,
        _ => ("/", event),
    };
    (namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_7_an_event_may_name_its_namespace() {
        let pair = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        assert_eq!(listener("say"), pair("/", "say"));
        assert_eq!(listener("say it"), pair("/", "say it"));
        assert_eq!(listener("/chat say it"), pair("/chat", "say it"));
    }
}
