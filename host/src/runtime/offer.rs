//! What the server offers to guests, by the names of the interfaces.

/// What becomes of an interface that a guest imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It works.
    Granted,
    /// It is there, since toolchains import it without need, but there is nothing behind it: why, in a few words.
    Empty(&'static str),
    /// Nobody provides it: the handler is refused.
    Unknown,
}

/// The interfaces of the contract.
const OURS: [&str; 5] = ["types", "sockets", "requests", "registration", "log"];

impl Offer {
    /// Of an interface, by its whole name: `wasi:cli/exit@0.2.3`.
    pub fn of(name: &str) -> Self {
        let parts = || {
            let (interface, version) = name.split_once('@')?;
            let (package, interface) = interface.split_once('/')?;
            Some((package, interface, version))
        };
        match parts() {
            Some(("hitchy:platform", interface, version))
                if OURS.contains(&interface) && version.starts_with("0.1.") =>
            {
                Self::Granted
            }
            Some((package, interface, version)) if version.starts_with("0.2.") => {
                Self::of_wasi(package, interface)
            }
            _ => Self::Unknown,
        }
    }

    fn of_wasi(package: &str, interface: &str) -> Self {
        match (package, interface) {
            ("wasi:cli", "environment") => Self::Empty("no variables and no arguments"),
            ("wasi:cli", "stdin" | "terminal-stdin" | "terminal-stdout" | "terminal-stderr") => {
                Self::Empty("no terminal and no input")
            }
            ("wasi:filesystem", _) => Self::Empty("no files"),
            ("wasi:sockets", _) => Self::Empty("no network"),
            ("wasi:io" | "wasi:cli" | "wasi:clocks" | "wasi:random", _) => Self::Granted,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_versions_that_are_linked_are_offered() {
        for (name, status) in [
            ("hitchy:platform/log@0.1.0", Offer::Granted),
            ("hitchy:platform/log@0.2.0", Offer::Unknown),
            ("hitchy:platform/kv@0.1.0", Offer::Unknown),
            ("wasi:io/streams@0.2.6", Offer::Granted),
            ("wasi:io/streams@0.3.0", Offer::Unknown),
            ("wasi:filesystem/types@0.2.0", Offer::Empty("no files")),
            ("wasi:http/outgoing-handler@0.2.0", Offer::Unknown),
            ("run", Offer::Unknown),
        ] {
            assert_eq!(Offer::of(name), status, "{name}");
        }
    }
}
