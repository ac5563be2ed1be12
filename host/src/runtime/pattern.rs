//! The patterns of routes: `/api/{name}`, `/files/{*rest}`.

use crate::path::{self, PathError};

/// A pattern in normal form, with the names of its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The pattern with parameters named by their position, so that equal patterns are equal text: `/api/{p0}`.
    pub(super) normal: String,
    /// The names of the parameters, in order.
    pub(super) params: Vec<String>,
}

/// Reasons why a text is not a pattern. Each sentence continues "the route PATH".
#[derive(Debug, thiserror::Error)]
pub(super) enum PatternError {
    /// The text does not begin with a slash.
    #[error("does not begin with /")]
    Relative,
    /// A segment like `{*rest}` is not the last one.
    #[error("goes on after {0}, which takes the rest of the path")]
    AfterRest(String),
    /// The name of a parameter is empty or contains other characters than letters, digits and `_`.
    #[error("has the parameter {0:?}; name it with letters, digits and _")]
    ParameterName(String),
    /// Two parameters have the same name.
    #[error("has two parameters named {0}")]
    EqualNames(String),
    /// A segment contains braces, but is not a parameter as a whole.
    #[error("has the segment {0:?}; a parameter takes a whole segment, as in /{{name}}")]
    PartOfSegment(String),
    /// A segment is empty, `.` or `..`, which no request has in normal form.
    #[error("has the segment {0:?}")]
    Segment(String),
    /// A segment cannot be brought into normal form.
    #[error("is no path: {0}")]
    NoPath(#[from] PathError),
}

/// Parses the pattern of a route.
pub(super) fn parse(path: &str) -> Result<Pattern, PatternError> {
    let rest = path.strip_prefix('/').ok_or(PatternError::Relative)?;
    let mut params: Vec<String> = Vec::new();
    let mut normal = String::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        // A trailing slash is ignored, as it is in requests.
        if segment.is_empty() && is_last {
            break;
        }
        normal.push('/');
        let Some(parameter) = parameter(segment) else {
            normal.push_str(&literal(segment)?);
            continue;
        };
        let (star, name) = match parameter.strip_prefix('*') {
            Some(name) => ("*", name),
            None => ("", parameter),
        };
        if !star.is_empty() && !is_last {
            return Err(PatternError::AfterRest(segment.to_owned()));
        }
        if !is_word(name) {
            return Err(PatternError::ParameterName(segment.to_owned()));
        }
        if params.iter().any(|other| other == name) {
            return Err(PatternError::EqualNames(name.to_owned()));
        }
        normal.push_str(&format!("{{{star}p{}}}", params.len()));
        params.push(name.to_owned());
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Ok(Pattern { normal, params })
}

/// Returns the text between the braces of a segment that is a parameter.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Returns the normal form of a segment that is not a parameter.
fn literal(segment: &str) -> Result<String, PatternError> {
    if segment.contains(['{', '}']) {
        return Err(PatternError::PartOfSegment(segment.to_owned()));
    }
    if matches!(segment, "" | "." | "..") {
        return Err(PatternError::Segment(segment.to_owned()));
    }
    let normal = path::normal(&format!("/{segment}"))?;
    Ok(normal[1..].to_owned())
}

/// Returns true if a text is not empty and consists of ASCII letters, digits and `_`.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Returns a warning about the first segment that is taken literally here, but is a parameter in other frameworks.
/// It continues "the route PATH" and says how the parameter is written here.
pub(super) fn warning(path: &str) -> Option<String> {
    path.split('/').find_map(|segment| {
        let here = translate_foreign(segment)?;
        Some(format!(
            "takes {segment:?} literally; written {here} it is a parameter"
        ))
    })
}

/// Translates a segment that is a parameter of Express (`:id`), of Flask (`<int:id>`) or a glob (`*`) into the syntax
/// of this server: `{id}`, `{*rest}`. Returns `None` for every other segment.
pub(super) fn translate_foreign(segment: &str) -> Option<String> {
    // Flask puts a converter before the name.
    let name = |text: &str| {
        let name = text.rsplit(':').next().unwrap_or_default();
        is_word(name).then(|| name.to_owned())
    };
    if let Some(glob) = segment.strip_prefix('*') {
        let rest = glob.trim_start_matches('*');
        return (rest.is_empty() || name(rest).is_some())
            .then(|| format!("{{*{}}}", name(rest).unwrap_or_else(|| "rest".to_owned())));
    }
    let parameter = match segment.strip_prefix(':') {
        Some(parameter) => parameter.trim_end_matches(['?', '*', '+']),
        None => segment.strip_prefix('<')?.strip_suffix('>')?,
    };
    Some(format!("{{{}}}", name(parameter)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_as_a_parameter_is_doubtful() {
        for (path, here) in [
            ("/x/:id", "{id}"),
            ("/x/:id?/y", "{id}"),
            ("/x/<int:id>", "{id}"),
            ("/x/<id>", "{id}"),
            ("/x/*", "{*rest}"),
            ("/x/**", "{*rest}"),
            ("/x/*path", "{*path}"),
        ] {
            let warning = warning(path).expect(path);
            assert!(
                warning.ends_with(&format!("written {here} it is a parameter")),
                "{warning}"
            );
        }
        for path in [
            "/",
            "/x/{id}/{*rest}",
            "/a:b",
            "/:",
            "/x/:-)",
            "/2*3",
            "/<>",
            "/v1/docs:batch",
        ] {
            assert_eq!(warning(path), None, "{path}");
        }
    }

    #[test]
    fn patterns_have_a_normal_form() {
        assert_eq!(
            parse("/api/{name}/x").unwrap(),
            Pattern {
                normal: "/api/{p0}/x".to_owned(),
                params: vec!["name".to_owned()],
            }
        );
        assert_eq!(
            parse("/files/{dir}/{*rest}").unwrap().normal,
            "/files/{p0}/{*p1}"
        );
        assert_eq!(parse("/ü/").unwrap().normal, "/%C3%BC");
        assert_eq!(parse("/").unwrap().normal, "/");
    }

    #[test]
    fn l14_impossible_patterns_are_refused() {
        for path in [
            "",
            "api",
            "/a/../b",
            "/a//b",
            "/{*rest}/x",
            "/{}",
            "/x{y}",
            "/{a}/{a}",
            "/{a-b}",
            "/%zz",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
