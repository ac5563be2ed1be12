//! Gathers settings from the file, the environment and the flags. [`gather`] lays them over the defaults; each value is
//! read by the kind of its key, and its source is kept.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{Error, Written};
use super::keys::{self, KEYS, Key};
use super::source::{FILE, Source};
use super::text;
use super::value::{Kind, Refusal};

/// The variable that names the server for `hitchy request`, `emit` and `listen`. It is not a setting.
pub const CLIENT_VARIABLE: &str = "HITCHY_URL";

/// The sources that [`Config::load`](super::Config::load) reads.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file that was asked for (`--config`); then it must exist. Else [`FILE`], when it exists.
    pub file: Option<PathBuf>,
    /// The folder to look for [`FILE`] in and to take relative paths from, as `dev PATH` has it. Without it the file is
    /// looked for in the current directory and relative paths are taken from the folder of the settings file.
    pub folder: Option<PathBuf>,
    /// The environment, usually `std::env::vars_os().collect()`; what does not begin with `HITCHY_` is passed over.
    pub env: Vec<(OsString, OsString)>,
    /// The flags of the command line; later ones win. Relative paths in them and in `env` start from the current
    /// directory.
    pub flags: Vec<Flag>,
}

/// A flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The whole key: `server.listen`.
    pub key: &'static str,
    /// The value, written as in an environment variable.
    pub value: String,
    /// The flag's name, for errors: `--listen`.
    pub flag: &'static str,
}

impl Sources {
    /// Returns the settings file that is read, or would be if it existed.
    pub fn settings_file(&self) -> PathBuf {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.folder.clone().unwrap_or_default().join(FILE),
        };
        // Notifications of changes name whole paths. Without a current directory there is nothing better.
        std::path::absolute(&file).unwrap_or(file)
    }

    fn base(&self) -> PathBuf {
        let of_file = || self.settings_file().parent().map(Path::to_owned);
        self.folder.clone().or_else(of_file).unwrap_or_default()
    }
}

/// Settings by section, as serde hands them to the fields of `Config`.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    /// `[section]` to key to value.
    pub(super) sections: Table,
    /// `[handler.NAME]` to key to value.
    pub(super) handlers: BTreeMap<String, Table>,
    /// The source of each value that is not a default, by its whole key.
    pub(super) sources: BTreeMap<String, Source>,
}

/// Gathers the defaults, and over them the file, the environment and the flags.
pub(super) fn gather(sources: &Sources) -> Result<Gathered, Error> {
    let base = sources.base();
    let mut gathered = defaults(&base)?;
    if let Some(text) = read_file(sources)? {
        let path = sources.settings_file();
        gathered.lay_file(parse(&path, &text)?, &Source::File(path), &base)?;
    }
    for (name, value) in &sources.env {
        gathered.lay_variable(name, value)?;
    }
    for Flag { key, value, flag } in &sources.flags {
        let from = Source::Flag(flag);
        let key = known(key, &from)?;
        gathered.set(key, &Value::from(value.as_str()), from, Path::new(""))?;
    }
    Ok(gathered)
}

/// Gathers the defaults of the table of keys.
pub(super) fn defaults(base: &Path) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    for section in keys::sections().into_iter().chain([keys::HANDLER]) {
        gathered
            .sections
            .insert(section.to_owned(), Value::Table(Table::new()));
    }
    for key in KEYS {
        if let Some(default) = key.default {
            gathered.set(key, &Value::from(default), Source::Default, base)?;
        }
    }
    Ok(gathered)
}

/// Reads the text of the settings file. Returns `None` if there is none and none was asked for.
fn read_file(sources: &Sources) -> Result<Option<String>, Error> {
    let path = sources.settings_file();
    // To open a pipe would wait for its other end, and a device may never end.
    let text = match std::fs::metadata(&path) {
        Ok(file) if !file.is_file() => Err(io::Error::other("it is not a regular file")),
        Ok(_) => std::fs::read_to_string(&path),
        Err(cause) => Err(cause),
    };
    match text {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && sources.file.is_none() => Ok(None),
        Err(cause) => Err(Error::Read { path, cause }),
    }
}

/// Parses the text of a settings file or sidecar as TOML.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table, Error> {
    text.parse::<Table>().map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Error::Syntax {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().replace('\n', ", "),
        }
    })
}

impl Gathered {
    fn lay_file(&mut self, file: Table, from: &Source, base: &Path) -> Result<(), Error> {
        for (section, written) in file {
            if section == keys::HANDLER {
                self.lay_handlers(written, from)?;
                continue;
            }
            let Value::Table(values) = written else {
                return Err(not_a_section(section, from));
            };
            if !keys::sections().contains(&section.as_str()) && values.is_empty() {
                return Err(unknown(section, from));
            }
            for (short, written) in values {
                let key = known(&format!("{section}.{short}"), from)?;
                self.set(key, &written, from.clone(), base)?;
            }
        }
        Ok(())
    }

    fn lay_handlers(&mut self, written: Value, from: &Source) -> Result<(), Error> {
        let Value::Table(handlers) = written else {
            return Err(not_a_section("handler".to_owned(), from));
        };
        for (name, written) in handlers {
            let section = handler_section(&name);
            let Value::Table(values) = written else {
                return Err(not_a_section(section, from));
            };
            if text::handler_name(&name).is_none() {
                return Err(Error::NotAHandler {
                    from: from.clone(),
                    name,
                });
            }
            let values = for_handler(values, &section, from)?;
            for short in values.keys() {
                self.sources.insert(handler_key(&name, short), from.clone());
            }
            self.sources.insert(section, from.clone());
            self.handlers.insert(name, values);
        }
        Ok(())
    }

    fn lay_variable(&mut self, name: &OsString, value: &OsString) -> Result<(), Error> {
        let name = name.to_string_lossy().into_owned();
        let is_ours = name.starts_with("HITCHY_") && name != CLIENT_VARIABLE;
        if !is_ours || is_service_link(&name, &value.to_string_lossy()) {
            return Ok(());
        }
        if name.starts_with("HITCHY_HANDLER__") {
            return Err(Error::HandlerVariable { name });
        }
        if name.starts_with("HITCHY_DEV__") {
            return Err(Error::DevVariable { name });
        }
        let readable = || KEYS.iter().filter(|key| !key.kind.is_table());
        let Some(key) = readable().find(|key| key.variable() == name) else {
            let nearest = keys::nearest(&name, readable().map(Key::variable));
            return Err(Error::UnknownVariable { name, nearest });
        };
        let Some(value) = value.to_str() else {
            return Err(Error::NotText { name });
        };
        self.set(
            key,
            &Value::from(value),
            Source::Variable(name),
            Path::new(""),
        )
    }

    /// Returns where the value of `key` (`server.listen`, `handler.chat.memory`) stands.
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Returns every value that is set, by its whole key.
    pub(super) fn values(&self) -> BTreeMap<String, Value> {
        let shared = self.sections.iter().flat_map(|(section, values)| {
            let values = values.as_table().into_iter().flatten();
            values.map(move |(short, value)| (format!("{section}.{short}"), value.clone()))
        });
        let own = self.handlers.iter().flat_map(|(name, values)| {
            let with_key =
                |(short, value): (&String, &Value)| (handler_key(name, short), value.clone());
            values.iter().map(with_key)
        });
        shared.chain(own).collect()
    }

    /// Returns the value of a key that is not for one handler alone.
    pub(super) fn value(&self, key: &Key) -> Option<&Value> {
        self.sections.get(key.section())?.get(key.short())
    }

    /// Takes the value of `key` from `other`, and notes where it stands there.
    pub(super) fn take_from(&mut self, other: &Self, key: &Key) {
        if let Some(Value::Table(section)) = self.sections.get_mut(key.section()) {
            section.remove(key.short());
            let value = other.value(key).cloned();
            section.extend(value.map(|value| (key.short().to_owned(), value)));
        }
        self.sources.remove(key.name);
        let source = other.sources.get(key.name).cloned();
        self.sources
            .extend(source.map(|source| (key.name.to_owned(), source)));
    }

    fn set(&mut self, key: &Key, written: &Value, from: Source, base: &Path) -> Result<(), Error> {
        let mut meant = read(key, key.name, written, &from)?;
        if let (Kind::Folder, Some(folder)) = (&key.kind, meant.as_str()) {
            meant = Value::String(absolute(base, folder));
        }
        if let Some(Value::Table(section)) = self.sections.get_mut(key.section()) {
            section.insert(key.short().to_owned(), meant);
        }
        if from != Source::Default {
            self.sources.insert(key.name.to_owned(), from);
        }
        Ok(())
    }
}

/// Reads the keys of one handler: of `[handler.NAME]`, which errors name by `section`, or of a sidecar, for which
/// `section` is empty.
pub(super) fn for_handler(written: Table, section: &str, from: &Source) -> Result<Table, Error> {
    let mut values = Table::new();
    for (short, written) in written {
        let whole = match section {
            "" => short.clone(),
            section => format!("{section}.{short}"),
        };
        let Some(key) = keys::per_handler().find(|key| key.short() == short) else {
            let nearest = keys::nearest(
                &short,
                keys::per_handler().map(|key| key.short().to_owned()),
            );
            return Err(Error::UnknownHandlerKey {
                from: from.clone(),
                key: whole,
                nearest,
                known: keys::per_handler().map(Key::short).collect(),
                is_section: written.is_table(),
            });
        };
        values.insert(short, read(key, &whole, &written, from)?);
    }
    Ok(values)
}

/// Returns the section of a handler as TOML writes it: `handler.chat`, `handler."api/shop"`.
pub(super) fn handler_section(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        format!("handler.{name}")
    } else {
        format!("handler.{}", Value::from(name))
    }
}

/// Returns a key of a handler's section: `handler.chat.memory`.
pub(super) fn handler_key(name: &str, short: &str) -> String {
    format!("{}.{short}", handler_section(name))
}

fn read(key: &Key, name: &str, value: &Value, from: &Source) -> Result<Value, Error> {
    key.kind.read(value).map_err(|refusal| {
        if let Refusal::Key { unknown, known } = &refusal {
            let whole = |short: &str| format!("{name}.{short}");
            let key = whole(unknown);
            let nearest = keys::nearest(&key, known.iter().map(|short| whole(short)));
            let from = from.clone();
            return Error::UnknownKey { from, key, nearest };
        }
        let written = Box::new(Written {
            from: from.clone(),
            key: name.to_owned(),
            value: value.to_string(),
        });
        // A list is written in another way where there is nothing but text.
        let is_text = matches!(from, Source::Variable(_) | Source::Flag(_));
        let example = match key.kind.example_as_text() {
            Some(example) if is_text => format!("{example} (a comma between two items)"),
            _ => key.kind.example(),
        };
        match (refusal, key.kind.bounds()) {
            (Refusal::Bounds, Some((min, max))) => Error::OutOfBounds { written, min, max },
            _ => Error::WrongValue {
                written,
                expected: key.kind.expected(),
                example,
            },
        }
    })
}

fn known(name: &str, from: &Source) -> Result<&'static Key, Error> {
    let key = KEYS.iter().find(|key| key.name == name);
    key.ok_or_else(|| unknown(name.to_owned(), from))
}

fn unknown(key: String, from: &Source) -> Error {
    let nearest = keys::nearest(&key, KEYS.iter().map(|key| key.name.to_owned()));
    Error::UnknownKey {
        from: from.clone(),
        key,
        nearest,
    }
}

/// Returns the error for a value at the top of the file: it should be a section, or its key lost its section.
fn not_a_section(section: String, from: &Source) -> Error {
    let is_section = section == "handler"
        || section.starts_with("handler.")
        || keys::sections().contains(&section.as_str());
    if is_section {
        Error::NotASection {
            from: from.clone(),
            section,
        }
    } else {
        unknown(section, from)
    }
}

/// Makes a path absolute, so that it means the same wherever it is printed, fed back or compared.
fn absolute(base: &Path, folder: &str) -> String {
    let path = base.join(folder);
    let path = std::path::absolute(&path).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// Returns true if Kubernetes sets a variable for a service named `hitchy` or `hitchy-…`: `HITCHY_SERVICE_HOST`,
/// `HITCHY_PORT`, `HITCHY_PORT_3000_TCP_ADDR`. Such variables are not settings, whose names have a `__`.
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    let of_service = name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let of_port = match name.rsplit_once("_PORT_") {
        Some((_, number)) => number.starts_with(|c: char| c.is_ascii_digit()),
        None => name.ends_with("_PORT") && value.contains("://"),
    };
    !name.contains("__") && (of_service || of_port)
}
