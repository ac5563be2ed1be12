//! Text of others on its way into the log or to a terminal.

use std::borrow::Cow;

/// The text with its control characters made visible, so that nobody can forge records or colour the operator's
/// terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    // Some readers of logs break lines at U+2028 and U+2029.
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let is_harmless = |c: char| c == '\t' || !breaks(c);
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
        assert_eq!(visible("a\u{2028}b"), "a\\u{2028}b");
    }
}
