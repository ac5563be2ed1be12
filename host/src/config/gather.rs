//! Reads settings from the settings file, the environment and the command line.
//!
//! [`gather`] starts with the defaults of the table of keys and overrides them by the file, the variables and the
//! flags, in this order. Each value is read by the kind of its key, and its source is remembered.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::environment::{Environment, is_service_link};
use super::error::{Error, Written};
use super::inputs::{CLIENT_VARIABLE, Flag, Sources};
use super::keys::{self, KEYS, Key};
use super::nearest::nearest;
use super::source::Source;
use super::value::{Refusal, ValueKind};
use super::{text, types};

/// Settings by section, in the shape from which serde fills the fields of [`Config`](super::Config).
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    /// Values of the node, by section and then by short key.
    pub(super) sections: Table,
    /// Values of single handlers, by handler name and then by short key.
    pub(super) handlers: BTreeMap<String, Table>,
    /// Sources of all values that are not defaults, by full key (`server.listen`, `handler.chat.memory`).
    pub(super) sources: BTreeMap<String, Source>,
    /// The environment, from which secrets are read later.
    pub(super) environment: Environment,
}

/// Returns the defaults, overridden by the settings file, the environment and the flags in this order.
pub(super) fn gather(sources: &Sources) -> Result<Gathered, Error> {
    let base = sources.base();
    let mut gathered = defaults(&base)?;
    if let Some(text) = read_file(sources)? {
        let path = sources.settings_file();
        gathered.merge_file(parse(&path, &text)?, &Source::File(path), &base)?;
    }
    gathered.environment = Environment::of(&sources.env);
    for (name, value) in &sources.env {
        gathered.merge_variable(name, value)?;
    }
    for Flag {
        key: name,
        value,
        flag,
    } in &sources.flags
    {
        let from = Source::Flag(flag);
        let key = known(name, &from)?;
        gathered.set(key, &Value::from(value.as_str()), from, Path::new(""))?;
    }
    Ok(gathered)
}

/// Returns the defaults of the table of keys. Relative folders among them start from `base`.
pub(super) fn defaults(base: &Path) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    // `set` stores values only in sections that exist, and serde expects every section, even an empty one.
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

/// Returns the text of the settings file, or `None` if it does not exist and was not given by `--config`.
fn read_file(sources: &Sources) -> Result<Option<String>, Error> {
    let path = sources.settings_file();
    // Opening a pipe would block until its other end is opened, and reading a device might never end.
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

/// Parses the text of a settings file or sidecar as TOML. `path` is only named in the error.
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
    fn merge_file(&mut self, file: Table, from: &Source, base: &Path) -> Result<(), Error> {
        for (section, written) in file {
            if section == keys::HANDLER {
                self.merge_handlers(written, from)?;
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

    fn merge_handlers(&mut self, written: Value, from: &Source) -> Result<(), Error> {
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

    fn merge_variable(&mut self, variable: &OsString, content: &OsString) -> Result<(), Error> {
        let name = variable.to_string_lossy().into_owned();
        let is_ours = name.starts_with("HITCHY_") && name != CLIENT_VARIABLE;
        if !is_ours || is_service_link(&name, &content.to_string_lossy()) {
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
            let nearest = nearest(&name, readable().map(Key::variable));
            return Err(Error::UnknownVariable { name, nearest });
        };
        let Some(value) = content.to_str() else {
            return Err(Error::NotText { name });
        };
        self.set(
            key,
            &Value::from(value),
            Source::Variable(name),
            Path::new(""),
        )
    }

    /// Returns the source of the value of the full key `key` (`server.listen`, `handler.chat.memory`).
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Returns every value that is set, by full key.
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

    /// Returns the value of `key` for the node.
    pub(super) fn value(&self, key: &Key) -> Option<&Value> {
        self.sections.get(key.section())?.get(key.short())
    }

    /// Replaces the value of `key` and its source by those of `other`. Removes them if `other` has none.
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

    /// Reads `written` by the kind of `key` and stores it with its source. A relative folder starts from `base`.
    fn set(&mut self, key: &Key, written: &Value, from: Source, base: &Path) -> Result<(), Error> {
        let mut value = read(key, key.name, written, &from)?;
        match (&key.kind, value.as_str()) {
            (ValueKind::FolderOrOff, Some(types::OFF)) => {}
            (ValueKind::Folder | ValueKind::FolderOrOff | ValueKind::File, Some(path)) => {
                value = Value::String(absolute(base, path));
            }
            _ => {}
        }
        if let Some(Value::Table(section)) = self.sections.get_mut(key.section()) {
            section.insert(key.short().to_owned(), value);
        }
        if from != Source::Default {
            self.sources.insert(key.name.to_owned(), from);
        }
        Ok(())
    }
}

/// Reads the settings of one handler and returns them by short key. `section` is the section of the settings file
/// (`handler.chat`) that contains them, or empty for a sidecar; errors name the keys with it.
pub(super) fn for_handler(written: Table, section: &str, from: &Source) -> Result<Table, Error> {
    let mut values = Table::new();
    for (short, written) in written {
        let full_key = match section {
            "" => short.clone(),
            section => format!("{section}.{short}"),
        };
        let Some(key) = keys::per_handler().find(|key| key.short() == short) else {
            let nearest = nearest(
                &short,
                keys::per_handler().map(|key| key.short().to_owned()),
            );
            return Err(Error::UnknownHandlerKey {
                from: from.clone(),
                key: full_key,
                nearest,
                known: keys::per_handler().map(Key::short).collect(),
                is_section: written.is_table(),
            });
        };
        values.insert(short, read(key, &full_key, &written, from)?);
    }
    Ok(values)
}

/// Returns the section of a handler as TOML writes it: `handler.chat`, `handler."api/shop"`.
pub(super) fn handler_section(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) {
        format!("handler.{name}")
    } else {
        format!("handler.{}", Value::from(name))
    }
}

/// Returns the full key of a setting of one handler: `handler.chat.memory`.
pub(super) fn handler_key(name: &str, short: &str) -> String {
    format!("{}.{short}", handler_section(name))
}

/// Reads a value by the kind of its key. Errors name the key as `name`, which differs from `key.name` for one handler.
fn read(key: &Key, name: &str, value: &Value, from: &Source) -> Result<Value, Error> {
    key.kind.read(value).map_err(|refusal| {
        if let Refusal::Key { unknown, known } = &refusal {
            let full_key = |short: &str| format!("{name}.{short}");
            let key = full_key(unknown);
            let nearest = nearest(&key, known.iter().map(|short| full_key(short)));
            let from = from.clone();
            return Error::UnknownKey { from, key, nearest };
        }
        if let Refusal::Entry { key, value, cause } = refusal {
            let written = Box::new(Written {
                from: from.clone(),
                key: format!("{name}.{key}"),
                value,
            });
            return Error::WrongEntry { written, cause };
        }
        let written = Box::new(Written {
            from: from.clone(),
            key: name.to_owned(),
            value: if key.confidential {
                "…".to_owned()
            } else {
                text::without_users(&value.to_string())
            },
        });
        // Variables and flags hold only text, so a list is written with commas there.
        let is_text = matches!(from, Source::Variable(_) | Source::Flag(_));
        let example = match key.kind.example_as_text() {
            Some(example) if is_text => format!("{example} (a comma between two items)"),
            _ => example_near(&key.kind, value),
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

/// Returns an example of a value: the word that is most similar to the written one, if the kind has words.
fn example_near(kind: &ValueKind, written: &Value) -> String {
    let near = match (kind, written.as_str()) {
        (ValueKind::Word(words), Some(written)) => {
            nearest(written, words.iter().map(|word| (*word).to_owned()))
        }
        _ => None,
    };
    near.map_or_else(|| kind.example(), |word| Value::from(word).to_string())
}

fn known(name: &str, from: &Source) -> Result<&'static Key, Error> {
    let key = KEYS.iter().find(|key| key.name == name);
    key.ok_or_else(|| unknown(name.to_owned(), from))
}

fn unknown(key: String, from: &Source) -> Error {
    let nearest = nearest(&key, KEYS.iter().map(|key| key.name.to_owned()));
    Error::UnknownKey {
        from: from.clone(),
        key,
        nearest,
    }
}

/// Returns the error for a value at the top level of the file: the name of a section was given a value, or a key was
/// written without its section.
fn not_a_section(section: String, from: &Source) -> Error {
    let is_section = section == "handler"
        || section.starts_with("handler.")
        || keys::sections().contains(&section.as_str());
    if is_section {
        let from = from.clone();
        Error::NotASection { from, section }
    } else {
        unknown(section, from)
    }
}

/// Returns the absolute path of `folder`, which starts from `base` if it is relative. An absolute path keeps its
/// meaning when settings are printed, read again from elsewhere, or compared.
fn absolute(base: &Path, folder: &str) -> String {
    let joined = base.join(folder);
    let path = std::path::absolute(&joined).unwrap_or(joined);
    path.to_string_lossy().into_owned()
}
