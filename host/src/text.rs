//! Text of others on its way into the log or to a terminal.

use std::borrow::Cow;

/// The text with its control characters made visible, so that nobody can forge records or colour the operator's terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| c == '\t' || !c.is_control();
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmless(c) {
            visible.push(c);
        } else {
            visible.extend(c.escape_default());
        }
    }
    Cow::Owned(visible)
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn g21_control_characters_are_made_visible() {
        assert_eq!(visible("a\u{1b}[31mb\rc\n"), "a\\u{1b}[31mb\\rc\\n");
        assert_eq!(visible("\"ü\"\t"), "\"ü\"\t");
    }
}
