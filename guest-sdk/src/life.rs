//! The lives of an instance.

/// How long an instance of a handler lives. The operator chooses it with the setting `instances`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Life {
    /// One call. Nothing that the call leaves in memory is seen by another one.
    #[default]
    Call,
    /// The connection of one client to one namespace: its hooks and its events, one after the other.
    Socket,
    /// Calls of all clients, one after the other. The server has several such instances, and any of them answers.
    Shared,
}

impl Life {
    /// Reads the word that the host has for a life. Words of later versions stand for [`Life::Call`], because nothing
    /// may be expected of an instance whose life is not known.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "socket" => Life::Socket,
            "shared" => Life::Shared,
            _ => Life::Call,
        }
    }

    /// Returns the word that the host has for the life.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Life::Call => "call",
            Life::Socket => "socket",
            Life::Shared => "shared",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i13_1_an_unknown_life_is_that_of_a_call() {
        let words = ["call", "socket", "shared", "node", ""];
        let lives = words.map(Life::from_word);
        let (call, socket, shared) = (Life::Call, Life::Socket, Life::Shared);
        assert_eq!(lives, [call, socket, shared, call, call]);
    }
}
