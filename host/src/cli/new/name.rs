//! Names that a handler's package may have. They follow cargo's rules, and are checked before anything is written.

/// The largest number of characters of a name. File names have 255 bytes at most, and cargo makes longer ones of it.
const MAX_LENGTH: usize = 64;

/// The words of the Rust language, as `cargo new` refuses them.
const KEYWORDS: [&str; 53] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "union",
];

/// Names of libraries that every handler uses already.
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

/// Checks that a handler may have this name. `is_of_cargo` says that it is also that of a package of cargo.
///
/// # Errors
/// A sentence that says what is wrong and which names are allowed.
pub(super) fn check(name: &str, is_of_cargo: bool) -> Result<(), String> {
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
    if !is_of_cargo {
        return Ok(());
    }
    if KEYWORDS.contains(&name) {
        return Err(format!(
            "{name:?} is a word of the Rust language; choose another name, for example {name}-handler"
        ));
    }
    // Cargo makes the same library name of `a-b` and `a_b`.
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
            assert_eq!(check(name, true), Ok(()), "{name}");
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
            let sentence = check(name, true).expect_err(name);
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
