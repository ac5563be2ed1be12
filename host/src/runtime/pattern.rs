//! The patterns of routes: `/api/{name}`, `/files/{*rest}`.

use crate::path;

/// Returns the pattern of a route in normal form, and the names of its parameters.
pub(super) fn parse(path: &str) -> Result<(String, Vec<String>), String> {
    if !path.starts_with('/') {
        return Err("does not begin with /".to_owned());
    }
    let mut params: Vec<String> = Vec::new();
    let mut segments: Vec<String> = Vec::new();
    let all: Vec<&str> = path[1..].split('/').collect();
    for (index, segment) in all.iter().enumerate() {
        let last = index + 1 == all.len();
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) => {
                let rest = name.strip_prefix('*');
                if rest.is_some() && !last {
                    return Err(format!(
                        "goes on after {segment}, which takes the rest of the path"
                    ));
                }
                let name = rest.unwrap_or(name);
                if name.is_empty()
                    || !name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                {
                    return Err(format!(
                        "has the parameter {segment:?}; name it with letters, digits and _"
                    ));
                }
                if params.iter().any(|other| other == name) {
                    return Err(format!("has two parameters named {name}"));
                }
                segments.push(format!(
                    "{{{}p{}}}",
                    if rest.is_some() { "*" } else { "" },
                    params.len()
                ));
                params.push(name.to_owned());
            }
            None if segment.contains(['{', '}']) => {
                return Err(format!(
                    "has the segment {segment:?}; a parameter takes a whole segment, as in /{{name}}"
                ));
            }
            // A trailing slash is tolerated, as it is in requests.
            None if segment.is_empty() && last => {}
            None if matches!(*segment, "" | "." | "..") => {
                return Err(format!("has the segment {segment:?}"));
            }
            None => {
                let normal = path::normal(&format!("/{segment}"))
                    .map_err(|error| format!("is no path: {error}"))?;
                segments.push(normal[1..].to_owned());
            }
        }
    }
    Ok((format!("/{}", segments.join("/")), params))
}

/// Returns a sentence if a segment of a pattern is taken literally that would be a parameter in other frameworks, with
/// the way in which a parameter is written here.
pub(super) fn warning(path: &str) -> Option<String> {
    path.split('/').find_map(|segment| {
        let here = foreign(segment)?;
        Some(format!(
            "takes {segment:?} literally; written {here} it is a parameter"
        ))
    })
}

/// Returns the parameter that a segment in the syntax of Express, Flask or a glob probably means, as it is written
/// here.
pub(super) fn foreign(segment: &str) -> Option<String> {
    let name = |name: &str| {
        let name = name.rsplit(':').next().unwrap_or_default();
        let word = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (word && !name.is_empty()).then(|| name.to_owned())
    };
    if let Some(rest) = segment.strip_prefix('*') {
        let rest = rest.trim_start_matches('*');
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
            ("/api/{p0}/x".to_owned(), vec!["name".to_owned()])
        );
        assert_eq!(
            parse("/files/{dir}/{*rest}").unwrap().0,
            "/files/{p0}/{*p1}"
        );
        assert_eq!(parse("/ü/").unwrap().0, "/%C3%BC");
        assert_eq!(parse("/").unwrap().0, "/");
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
