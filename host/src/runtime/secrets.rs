//! Secrets of a handler: their values go to the guest that may read them, and nowhere else.
//!
//! What shows or writes settings (`Debug`, `Serialize`) gets the names of the secrets only.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::stamp::Stamp;

/// The value of a secret.
#[derive(Clone)]
pub struct Secret {
    value: Arc<str>,
    /// The file that held the value, if it came from one, with the file's stamp. Without a stamp, the file may have
    /// changed unnoticed and has to be read again.
    file: Option<(PathBuf, Option<Stamp>)>,
}

/// The secrets that a handler may read, by name. They have no values until [`Secrets::try_fill`] sets them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Secrets(BTreeMap<String, Option<Secret>>);

impl Secret {
    /// Makes a secret of a value that came from no file.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self {
            value: value.into(),
            file: None,
        }
    }

    /// Makes a secret of the content of a file. `stamp` is `None` if a later change of the file could leave its stamp
    /// as it is.
    pub fn of_file(value: impl Into<Arc<str>>, path: PathBuf, stamp: Option<Stamp>) -> Self {
        Self {
            value: value.into(),
            file: Some((path, stamp)),
        }
    }
}

impl Secrets {
    /// Returns true if the handler may read no secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names of the secrets, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns these secrets with the values that `read` returns for their names.
    ///
    /// # Errors
    /// Returns the first error of `read`.
    pub fn try_fill<E>(&self, mut read: impl FnMut(&str) -> Result<Secret, E>) -> Result<Self, E> {
        let filled = self
            .names()
            .map(|name| Ok((name.to_owned(), Some(read(name)?))));
        filled.collect::<Result<_, E>>().map(Self)
    }

    /// Returns the files from which values came, each with its stamp when it was read.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Option<Stamp>)> {
        let filled = self.0.values().flatten();
        filled.filter_map(|secret| secret.file.as_ref().map(|(path, stamp)| (&**path, *stamp)))
    }

    /// Returns the value of a secret. It is for the guest only.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_ref().map(|secret| &*secret.value)
    }

    /// Returns all names with their values. They are for the guest only.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let filled = self.names().map(|name| Some((name, self.value(name)?)));
        filled.flatten()
    }
}

impl From<Vec<String>> for Secrets {
    fn from(names: Vec<String>) -> Self {
        Self(names.into_iter().map(|name| (name, None)).collect())
    }
}

/// Two secrets are equal if their values are, wherever these came from: a file that was written anew with the same
/// value has not changed the settings.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(value: &str) -> Secrets {
        let names = Secrets::from(vec!["TOKEN".to_owned()]);
        let read = |_: &str| Ok::<_, ()>(Secret::new(value));
        names.try_fill(read).expect("it is filled")
    }

    #[test]
    fn d06_what_shows_secrets_shows_their_names_only() {
        let secrets = filled("hunter2");
        assert_eq!(secrets.value("TOKEN"), Some("hunter2"));
        let shown = format!("{secrets:?} {:?} {:#?}", secrets.0["TOKEN"], secrets);
        let json = serde_json::to_string(&secrets).expect("JSON");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(json, r#"["TOKEN"]"#);
    }

    #[test]
    fn i12_3_a_secret_has_changed_if_its_value_has() {
        let of_file = |value: &str| Secret::of_file(value, PathBuf::from("/a"), None);
        assert_eq!(of_file("a"), Secret::new("a"));
        assert_ne!(filled("a"), filled("b"));
        assert_eq!(filled("a"), filled("a"));
    }
}
