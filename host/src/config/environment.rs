//! The environment of the server, from which the operator's secrets are read: `TOKEN`, or the file that `TOKEN_FILE`
//! names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::cluster::Password;
use crate::runtime::{Secret, Secrets};
use crate::stamp::Stamp;

/// Largest file of a secret, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// The variables of the server's environment. `Debug` shows none of them, because some are secret.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<OsString, OsString>>);

/// The value of a secret, with the file that held it. Without a stamp, the file may have changed unnoticed.
struct Value {
    text: String,
    file: Option<(PathBuf, Option<Stamp>)>,
}

/// The reason for which a secret cannot be read. The sentences say what to do and never what the secret is.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither the variable nor that of a file is set.
    #[error(
        "its secret {name} is not set; start the server with the environment variable {name}, or with {name}_FILE = the path of a \
         file that holds it"
    )]
    Missing {
        /// Name of the secret.
        name: String,
    },
    /// Both variables are set.
    #[error(
        "its secret {name} is set twice, by {name} and by {name}_FILE; start the server with one of them"
    )]
    Twice {
        /// Name of the secret.
        name: String,
    },
    /// The variable or the file is empty or not UTF-8, or the file is too large.
    #[error("its secret {name} cannot be used: {place} {problem}")]
    Unusable {
        /// Name of the secret.
        name: String,
        /// Variable or file that holds the value.
        place: String,
        /// What is wrong with it, as the end of a sentence.
        problem: &'static str,
        /// True if it is a file, which may become usable.
        is_file: bool,
    },
    /// The file cannot be read.
    #[error(
        "its secret {name} cannot be read: {name}_FILE names {}: {cause}; put the file there, or change its permissions",
        .path.display()
    )]
    Unreadable {
        /// Name of the secret.
        name: String,
        /// Path of the file.
        path: PathBuf,
        /// Error of the file system.
        cause: io::Error,
    },
}

impl SecretError {
    /// Returns true if the secret may be there when it is read again. Variables stay as they are as long as the server
    /// runs.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Unusable { is_file, .. } => *is_file,
            Self::Missing { .. } | Self::Twice { .. } => false,
        }
    }
}

impl Environment {
    pub(super) fn of(variables: &[(OsString, OsString)]) -> Self {
        Self(Arc::new(variables.iter().cloned().collect()))
    }

    /// Returns `hitchy` in the folder for caches, as the XDG Base Directory Specification names it: `$XDG_CACHE_HOME`,
    /// or `$HOME/.cache`. Relative paths do not count there.
    pub(super) fn cache_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| {
            let path = PathBuf::from(self.0.get(&OsString::from(name))?);
            path.is_absolute().then_some(path)
        };
        let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
        Some(caches.join("hitchy"))
    }

    /// Returns `secrets` with their values. Reads files, so that it must not run on a thread of the async runtime.
    ///
    /// # Errors
    /// Returns the first secret that is missing or cannot be used.
    pub fn read_secrets(&self, secrets: &Secrets) -> Result<Secrets, SecretError> {
        secrets.try_fill(|name| self.secret(name))
    }

    /// Returns the password that is the value of the secret `name`. Reads a file, so that it must not run on a thread of
    /// the async runtime while others are served.
    ///
    /// # Errors
    /// The secret is missing or cannot be used.
    pub fn read_password(&self, name: &str) -> Result<Password, SecretError> {
        let password = |secret: Value| Password::new(&secret.text);
        self.value(name).map(password)
    }

    fn secret(&self, name: &str) -> Result<Secret, SecretError> {
        let value = self.value(name)?;
        Ok(match value.file {
            Some((path, stamp)) => Secret::of_file(value.text, path, stamp),
            None => Secret::new(value.text),
        })
    }

    fn value(&self, name: &str) -> Result<Value, SecretError> {
        let variable = |name: &str| self.0.get(&OsString::from(name));
        match (variable(name), variable(&format!("{name}_FILE"))) {
            (None, None) => Err(SecretError::Missing {
                name: name.to_owned(),
            }),
            (Some(_), Some(_)) => Err(SecretError::Twice {
                name: name.to_owned(),
            }),
            (Some(value), None) => {
                let text = value.to_str().ok_or("is not valid UTF-8");
                let place = format!("the variable {name}");
                text.and_then(not_empty)
                    .map(|text| Value {
                        text: text.to_owned(),
                        file: None,
                    })
                    .map_err(|problem| unusable(name, place, problem, false))
            }
            (None, Some(path)) => of_file(name, Path::new(path)),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

fn unusable(name: &str, place: String, problem: &'static str, is_file: bool) -> SecretError {
    SecretError::Unusable {
        name: name.to_owned(),
        place,
        problem,
        is_file,
    }
}

fn not_empty(value: &str) -> Result<&str, &'static str> {
    match value {
        "" => Err("is empty"),
        value => Ok(value),
    }
}

/// Returns true if Kubernetes sets this variable for a service named `hitchy` or `hitchy-…`: `HITCHY_SERVICE_HOST`,
/// `HITCHY_PORT`, `HITCHY_PORT_3000_TCP_ADDR`. Such a variable is not a setting, because variables of settings
/// contain `__`.
///
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let of_service = name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let of_port = match name.rsplit_once("_PORT_") {
        Some((_, number)) => number.starts_with(|c: char| c.is_ascii_digit()),
        None => name.ends_with("_PORT") && value.contains("://"),
    };
    !name.contains("__") && (of_service || of_port)
}

/// Reads a secret from a file. One line break at the end is not part of the secret, because editors put it there.
fn of_file(name: &str, path: &Path) -> Result<Value, SecretError> {
    let unreadable = |cause| SecretError::Unreadable {
        name: name.to_owned(),
        path: path.to_owned(),
        cause,
    };
    let (content, stamp) = read(path).map_err(unreadable)?;
    let value = value_in(&content).map_err(|problem| {
        let place = format!("the file {}", path.display());
        unusable(name, place, problem, true)
    })?;
    Ok(Value {
        text: value.to_owned(),
        file: Some((path.to_owned(), stamp)),
    })
}

/// Returns the secret in the content of a file.
fn value_in(content: &[u8]) -> Result<&str, &'static str> {
    if content.len() as u64 > MAX_SECRET {
        return Err("has more than 64 KiB");
    }
    let text = std::str::from_utf8(content).map_err(|_| "is not valid UTF-8")?;
    let ended = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'));
    not_empty(ended.unwrap_or(text))
}

/// Reads a regular file up to one byte more than [`MAX_SECRET`]. Returns its stamp if every later change will change
/// it.
fn read(path: &Path) -> io::Result<(Vec<u8>, Option<Stamp>)> {
    // A pipe without a writer would block an ordinary open.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let stamp = Stamp::of(&metadata);
    let mut content = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut content)?;
    Ok((content, (!stamp.is_young()).then_some(stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Environment::of(&pairs.collect::<Vec<_>>())
    }

    fn read_token(environment: &Environment) -> Result<Secrets, SecretError> {
        environment.read_secrets(&Secrets::from(vec!["TOKEN".to_owned()]))
    }

    fn filled(value: &str) -> Secrets {
        let names = Secrets::from(vec!["TOKEN".to_owned()]);
        let fill = |_: &str| Ok::<_, ()>(Secret::new(value));
        names.try_fill(fill).expect("it is filled")
    }

    #[test]
    fn i12_3_a_secret_comes_from_a_variable_or_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let by_file = environment(&[("TOKEN_FILE", path.to_str().expect("UTF-8"))]);
        assert_eq!(
            read_token(&environment(&[("TOKEN", "a b\n")])).expect("set"),
            filled("a b\n")
        );
        for (content, value) in [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n")] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(
                read_token(&by_file).expect("set"),
                filled(value),
                "{content:?}"
            );
        }
    }

    #[test]
    fn d06_what_is_wrong_with_a_secret_is_said_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let at = path.to_str().expect("UTF-8");
        let by_file = environment(&[("TOKEN_FILE", at)]);
        let refusal = |environment: &Environment| {
            let error = read_token(environment).expect_err("it cannot be used");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            assert!(!format!("{environment:?}").contains("hunter2"));
            error.to_string()
        };
        let missing = refusal(&environment(&[]));
        assert!(
            missing.contains("TOKEN is not set") && missing.contains("TOKEN_FILE"),
            "{missing}"
        );
        let twice = refusal(&environment(&[("TOKEN", "hunter2"), ("TOKEN_FILE", at)]));
        assert!(twice.contains("set twice"), "{twice}");
        assert!(refusal(&environment(&[("TOKEN", "")])).contains("the variable TOKEN is empty"));
        assert!(refusal(&by_file).contains("No such file"));
        std::fs::write(&path, "\n").expect("written");
        assert!(refusal(&by_file).contains("is empty"));
        std::fs::write(&path, b"hunter2\xff").expect("written");
        assert!(refusal(&by_file).contains("not valid UTF-8"));
        std::fs::write(&path, "hunter2".repeat(10_000)).expect("written");
        assert!(refusal(&by_file).contains("more than 64 KiB"));
        let folder = environment(&[("TOKEN_FILE", folder.path().to_str().expect("UTF-8"))]);
        assert!(refusal(&folder).contains("not a regular file"));
    }
}
