//! The media type of a file, by its name, and the encodings of text that a file names itself.

use std::path::Path;

/// The labels of the encoding standard that mean UTF-8. A page that calls itself UTF-16 in readable ASCII is UTF-8.
const UTF_8: [&str; 6] = [
    "utf-8",
    "utf8",
    "unicode-1-1-utf-8",
    "utf-16",
    "utf-16le",
    "utf-16be",
];
/// The part of a page that browsers search for its encoding, in bytes.
pub(super) const PRESCAN: usize = 1024;

/// The kinds of files, by the way in which they name their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// HTML and XML: `<meta charset=…>` and `<?xml encoding=…?>`.
    Markup,
    /// `@charset "…";` at the very beginning.
    Style,
    /// Other text.
    Text,
    /// A file whose type has no charset.
    Other,
}

/// Returns the media type of a file without parameters, by its extension.
pub(super) fn media_type(path: &Path) -> &'static str {
    let guess = mime_guess::from_path(path).first_raw();
    guess.unwrap_or("application/octet-stream")
}

impl Kind {
    /// Returns the kind of files of a media type.
    pub(super) fn of(media_type: &str) -> Self {
        match media_type {
            "text/html" | "text/xml" => Self::Markup,
            "text/css" => Self::Style,
            "application/javascript" => Self::Text,
            other if other.starts_with("text/") => Self::Text,
            _ => Self::Other,
        }
    }

    /// Returns true if the first bytes of a file name another encoding than UTF-8.
    pub(super) fn names_another(self, head: &[u8]) -> bool {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let label = match self {
            Self::Markup => label_of_xml(&head).or_else(|| label_of_page(&head)),
            Self::Style => label_of_style(&head),
            Self::Text | Self::Other => None,
        };
        label.is_some_and(|label| !UTF_8.contains(&label))
    }
}

fn label_of_style(head: &str) -> Option<&str> {
    let rest = head.strip_prefix("@charset \"")?;
    Some(rest.split_once('"')?.0)
}

fn label_of_xml(head: &str) -> Option<&str> {
    let head = head.trim_start_matches('\u{feff}');
    let declaration = head.strip_prefix("<?xml")?.split_once("?>")?.0;
    value_after(declaration, "encoding")
}

/// Finds the first `<meta>` that names an encoding, outside of comments.
fn label_of_page(head: &str) -> Option<&str> {
    let mut rest = head;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start..];
        if let Some(comment) = tag.strip_prefix("<!--") {
            rest = comment.split_once("-->")?.1;
            continue;
        }
        if tag.starts_with("<meta") {
            let inside = tag.split_once('>').map_or(tag, |(inside, _)| inside);
            if let Some(label) = value_after(inside, "charset") {
                return Some(label);
            }
        }
        rest = &tag[1..];
    }
    None
}

/// Returns the value after `name` and an equals sign, with or without quotes.
fn value_after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let after = text.split_once(name)?.1.trim_start();
    let value = after.strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '/' | '>');
    let value = value.split(is_end).next()?;
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_19_an_encoding_is_found_where_browsers_look_for_it() {
        for (kind, head, is_another) in [
            (
                Kind::Markup,
                "<!doctype html><meta charset=iso-8859-1>",
                true,
            ),
            (Kind::Markup, "<META CharSet = 'Shift_JIS' />", true),
            (Kind::Markup, "<meta charset=\"windows-1251\">", true),
            (
                Kind::Markup,
                "<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\">",
                true,
            ),
            (
                Kind::Markup,
                "<meta name=a content=b><meta charset=gbk>",
                true,
            ),
            (
                Kind::Markup,
                "<?xml version='1.0' encoding='ISO-8859-15'?><a/>",
                true,
            ),
            (Kind::Markup, "<meta charset=utf-8>", false),
            (Kind::Markup, "<meta charset=\"UTF8\"/>", false),
            (Kind::Markup, "<meta charset=utf-16>", false),
            (Kind::Markup, "<!-- <meta charset=latin1> --><p>", false),
            (Kind::Markup, "<meta charset>", false),
            (Kind::Markup, "<p>charset=latin1", false),
            (Kind::Style, "@charset \"iso-8859-1\";", true),
            (Kind::Style, "@charset \"UTF-8\";", false),
            (Kind::Style, " @charset \"iso-8859-1\";", false),
            (Kind::Text, "<meta charset=iso-8859-1>", false),
        ] {
            assert_eq!(kind.names_another(head.as_bytes()), is_another, "{head}");
        }
    }
}
