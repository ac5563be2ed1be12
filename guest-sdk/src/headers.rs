//! Headers of a request or of a socket's handshake.

/// Headers of a request, or of the handshake that opened a socket's connection. The names are in lower case.
///
/// ```
/// use hitchy_guest::Headers;
///
/// fn language(headers: Headers) -> String {
///     headers.get("accept-language").unwrap_or("en").to_owned()
/// }
/// # hitchy_guest::App::new().get("/language", language);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub(crate) fn new(all: Vec<(String, String)>) -> Self {
        Headers(all)
    }

    /// Returns the first value of a header. The case of the name does not matter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.iter();
        all.find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns all values of a header. The case of the name does not matter.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns all names and values in the order in which they were received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let headers = Headers::new(vec![("x-a".into(), "1".into()), ("x-a".into(), "2".into())]);
        assert_eq!(headers.get("X-A"), Some("1"));
        assert_eq!(headers.get_all("x-a").count(), 2);
        assert_eq!(headers.get("x-b"), None);
    }
}
