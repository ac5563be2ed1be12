//! The namespaces of listeners and connection hooks.

use super::kind::{check_text, refuse};
use crate::names::REQUESTS;
use crate::runtime::error::LoadError;
use crate::runtime::pattern;

/// Refuses a text that is not the name of a namespace, and names that are reserved.
pub(super) fn check(namespace: &str) -> Result<(), LoadError> {
    check_text("namespace", namespace)?;
    let valid = namespace.starts_with('/') && !namespace.contains([',', '?', '#', ' ', '{', '}']);
    if !valid || (namespace.len() > 1 && namespace.ends_with('/')) {
        let hint = if namespace.contains(['{', '}']) || is_pattern(namespace) {
            "; namespaces are fixed names and no patterns: use a room for each part"
        } else {
            ""
        };
        return refuse(format!(
            "the namespace \"{namespace}\" is not valid; write it as \"/\" or \"/name\"{hint}"
        ));
    }
    if namespace.starts_with(&format!("{REQUESTS}/")) {
        return refuse(format!(
            "the namespace {namespace:?} is reserved; choose a name that is not below {REQUESTS}"
        ));
    }
    Ok(())
}

/// Returns a warning about a namespace that looks like a pattern. Namespaces are fixed names, in which every character
/// stands for itself.
pub(super) fn warning(namespace: &str) -> Option<String> {
    is_pattern(namespace).then(|| {
        format!(
            "the namespace {namespace} is taken literally, so that no client connects to it by another name; namespaces are fixed: \
             declare one, and use a room for each part, as in join(\"tenant-7\")"
        )
    })
}

/// Returns true for a namespace with a parameter (`/:tenant`, `/<tenant>`), a glob (`/tenant-*`, `/room?`, `/[ab]`) or
/// the signs of a regular expression (`/^\/dyn-\d+$/`, `/(a|b)`, `/x+`).
fn is_pattern(namespace: &str) -> bool {
    let is_sign = |c: char| {
        matches!(
            c,
            '*' | '^' | '$' | '\\' | '(' | ')' | '[' | ']' | '|' | '+'
        )
    };
    let mut segments = namespace.split('/');
    let is_parameter = |segment: &str| {
        // `:id` of Express, also after other text: `tenant-:id`.
        let named = segment.split_once(':').is_some_and(|(before, name)| {
            let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
            begins
                && before
                    .chars()
                    .all(|c| !c.is_ascii_alphanumeric() || before.ends_with('-'))
        });
        named || pattern::translate_foreign(segment).is_some() || segment.contains(".*")
    };
    namespace.contains(is_sign) || segments.any(is_parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_23_what_looks_like_a_pattern_is_doubtful() {
        for namespace in [
            "/tenant-*",
            "/*",
            "/a/*/b",
            "/**",
            "/:tenant",
            "/tenant-:id",
            "/t/:id?",
            "/<tenant>",
            "/<int:id>",
            "/^\\/dyn-\\d+$/x",
            "/^/dyn-[0-9]+$",
            "/dyn-\\d+",
            "/(a|b)",
            "/a|b",
            "/room.*",
            "/[ab]",
            "/a+",
        ] {
            let warning = warning(namespace).expect(namespace);
            assert!(
                warning.contains("literally") && warning.contains("room"),
                "{warning}"
            );
        }
        for namespace in [
            "/",
            "/chat",
            "/chat/v1.2",
            "/a:b",
            "/a-b_c~d",
            "/@user",
            "/ü",
            "/12:30",
        ] {
            assert_eq!(warning(namespace), None, "{namespace}");
        }
    }

    #[test]
    fn i11_23_braces_are_refused_with_the_way_to_go() {
        for namespace in [
            "/{tenant}",
            "/t-{id}",
            "/x{1,3}",
            "chat",
            "/^\\/dyn-\\d+$/",
            "^/dyn-\\d+$",
        ] {
            let refusal = check(namespace).unwrap_err().to_string();
            assert!(refusal.contains(namespace), "{refusal}");
        }
        for namespace in ["/{tenant}", "/t-{id}", "/^\\/dyn-\\d+$/", "^/dyn-\\d+$"] {
            let refusal = check(namespace).unwrap_err().to_string();
            assert!(refusal.contains("room"), "{refusal}");
        }
    }
}
