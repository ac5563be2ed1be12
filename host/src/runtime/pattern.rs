//! The patterns of routes: `/api/{name}`, `/files/{*rest}`.

use crate::path;

/// The pattern of a route in normal form, and the names of its parameters.
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

#[cfg(test)]
mod tests {
    use super::*;

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
