//! Which names a handler's package may have: what cargo accepts, said before anything is written.

/// Characters of a name, at most: file names have 255 bytes, and cargo adds to them.
const MAX_LENGTH: usize = 64;

/// Names that mean something to Rust. (`cargo new` has the same list.)
const KEYWORDS: [&str; 53] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "union",
];

/// Names of libraries that every handler has already.
const TAKEN: [&str; 9] = [
    "alloc",
    "core",
    "hitchy-guest",
    "proc-macro",
    "serde",
    "serde-json",
    "serde-derive",
    "std",
    "test",
];

/// Says what is wrong with a name, and what would be right.
pub(super) fn check(name: &str) -> Result<(), String> {
    let is_well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= MAX_LENGTH
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_well_formed {
        return Err(format!(
            "{name:?} is no name for a handler: use at most {MAX_LENGTH} letters (a to z), digits, - and _, beginning with a letter"
        ));
    }
    if KEYWORDS.contains(&name) {
        return Err(format!(
            "{name:?} is a word of the Rust language; choose another name, for example {name}-handler"
        ));
    }
    // For cargo `a-b` and `a_b` are the same library.
    if TAKEN.contains(&name.replace('_', "-").to_ascii_lowercase().as_str()) {
        return Err(format!(
            "{name:?} is the name of a library that handlers use; choose another name, for example {name}-handler"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_of_packages_pass() {
        for name in ["mine", "my-app", "my_app", "A1", "matching", "tests"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn others_are_refused_with_what_is_allowed() {
        for (name, words) in [
            ("", "beginning with a letter"),
            ("1st", "beginning with a letter"),
            ("-x", "beginning with a letter"),
            ("a b", "letters"),
            ("föö", "a to z"),
            ("a\nb", "\"a\\nb\""),
            (&"x".repeat(65), "at most 64"),
            ("match", "word of the Rust language"),
            ("test", "library"),
            ("serde_json", "library"),
        ] {
            let sentence = check(name).expect_err(name);
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
