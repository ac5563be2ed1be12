//! Kinds of setting values: reading a value as people write it, checking its bounds, and writing it in the form
//! people use.
//!
//! A value that was read is kept as TOML of one shape per kind: sizes and counts as integers, times as tables of
//! seconds and nanoseconds, lists as arrays. From these values serde fills the fields of [`Config`](super::Config).

use std::time::Duration;

use toml::Value;

/// Reads text and returns its canonical form, or `None` if the text does not have the form.
type ReadText = fn(&str) -> Option<String>;

/// Reads a table. A table cannot be written as text.
type ReadTable = fn(&Value) -> Result<Value, Refusal>;

/// The kind of value that a setting takes, with its bounds.
#[derive(Debug)]
pub enum ValueKind {
    /// A value that is `true` or `false`.
    Switch,
    /// A whole number that is not negative.
    Count {
        /// Smallest accepted number.
        min: u64,
        /// Largest accepted number.
        max: u64,
    },
    /// A number of bytes: `"64MiB"`, or a whole number without a unit.
    Size {
        /// Smallest accepted size, in bytes.
        min: u64,
        /// Largest accepted size, in bytes.
        max: u64,
    },
    /// A length of time: `"150ms"`.
    Time {
        /// Shortest accepted time.
        min: Duration,
        /// Longest accepted time.
        max: Duration,
    },
    /// One of the listed words.
    Word(&'static [&'static str]),
    /// A list with one or more of the listed words.
    Words(&'static [&'static str]),
    /// The path of a folder.
    Folder,
    /// The path of a folder, or the word `off`.
    FolderOrOff,
    /// The path of a file.
    File,
    /// Text of a form that `read` accepts.
    Text {
        /// Name of the form in a sentence, with the article.
        what: &'static str,
        /// Example that is accepted.
        example: &'static str,
        /// Reader of the text.
        read: ReadText,
    },
    /// A list of texts of a form that `read` accepts.
    List {
        /// Name of the form in a sentence, with the article.
        what: &'static str,
        /// Examples of items that are accepted.
        examples: [&'static str; 2],
        /// Reader of one item.
        read: ReadText,
    },
    /// A table, which only a file can hold.
    Table {
        /// Name of the form in a sentence, with the article.
        what: &'static str,
        /// Example that is accepted, as TOML.
        example: &'static str,
        /// Reader of the table.
        read: ReadTable,
    },
}

/// The reason a value was refused. The caller knows the source and the key and makes a sentence of them.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// The value is not of the kind.
    Kind,
    /// The value is of the kind, but out of its bounds.
    Bounds,
    /// A value in the table is wrong.
    Entry {
        /// Key of the value in the table.
        key: String,
        /// Value, as TOML.
        value: String,
        /// The cause and an example that is accepted, as a sentence.
        cause: String,
    },
    /// The table has an unknown key.
    Key {
        /// Key as it was written.
        unknown: String,
        /// Keys that the table may have.
        known: &'static [&'static str],
    },
}

impl ValueKind {
    /// Reads `written` and returns the value in the shape of this kind. Every kind except a table accepts a string,
    /// because environment variables and flags hold only text.
    pub(super) fn read(&self, written: &Value) -> Result<Value, Refusal> {
        match self {
            Self::Switch => switch(written),
            Self::Count { min, max } => return bounded(count(written), *min, *max).map(integer),
            Self::Size { min, max } => return bounded(size(written), *min, *max).map(integer),
            Self::Time { min, max } => return bounded(time(written), *min, *max).map(span),
            Self::Table { read, .. } => return read(written),
            Self::Word(words) => text(written, |text| word(text, words)),
            Self::Words(words) => list(written, |text| word(text, words)).filter(has_items),
            Self::Folder | Self::FolderOrOff | Self::File => {
                text(written, |text| (!text.is_empty()).then(|| text.to_owned()))
            }
            Self::Text { read, .. } => text(written, read),
            Self::List { read, .. } => list(written, read),
        }
        .ok_or(Refusal::Kind)
    }

    /// Writes a value that [`read`](Self::read) returned as TOML, in the form people would write.
    pub(super) fn write(&self, value: &Value) -> String {
        match self {
            Self::Size { .. } => write_size(value),
            Self::Time { .. } => write_time(value),
            _ => value.to_string(),
        }
    }

    /// Returns true if only a file can hold a value of this kind, because environment variables and flags hold text.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table { .. })
    }

    /// Returns the name of the kind in a sentence, with the article.
    pub fn expected(&self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count { .. } => "a whole number".to_owned(),
            Self::Size { .. } => "a size".to_owned(),
            Self::Time { .. } => "a length of time".to_owned(),
            Self::Word(words) => format!("one of {}", alternatives(words)),
            Self::Words(words) => format!("a list of one or more of {}", alternatives(words)),
            Self::Folder => "the path of a folder".to_owned(),
            Self::FolderOrOff => "the path of a folder, or \"off\"".to_owned(),
            Self::File => "the path of a file".to_owned(),
            Self::Text { what, .. } | Self::List { what, .. } | Self::Table { what, .. } => {
                (*what).to_owned()
            }
        }
    }

    /// Returns an example that is accepted, as TOML.
    pub fn example(&self) -> String {
        match self {
            Self::Switch => "true".to_owned(),
            Self::Count { max, .. } => max.min(&256).to_string(),
            Self::Size { .. } => quoted("64MiB"),
            Self::Time { .. } => quoted("150ms"),
            Self::Word(words) => quoted(words[0]),
            Self::Words(words) => format!("[{}]", alternatives(words)),
            Self::Folder => quoted("handlers"),
            Self::FolderOrOff => quoted("/var/cache/hitchy"),
            Self::File => quoted("certificates.pem"),
            Self::Text { example, .. } => quoted(example),
            Self::Table { example, .. } => (*example).to_owned(),
            Self::List { examples, .. } => format!("[{}]", alternatives(examples)),
        }
    }

    /// Returns an example of a list as it is written in an environment variable or a flag, with commas between the
    /// items. Returns `None` for kinds that are not lists.
    pub fn example_as_text(&self) -> Option<String> {
        match self {
            Self::Words(words) => Some(words.join(",")),
            Self::List { examples, .. } => Some(examples.join(",")),
            _ => None,
        }
    }

    /// Returns the smallest and the largest accepted value as TOML, or `None` if the kind has no bounds.
    pub fn bounds(&self) -> Option<(String, String)> {
        let (min, max) = match *self {
            Self::Count { min, max } | Self::Size { min, max } => (integer(min), integer(max)),
            Self::Time { min, max } => (span(min), span(max)),
            _ => return None,
        };
        Some((self.write(&min), self.write(&max)))
    }
}

fn bounded<T: PartialOrd>(value: Option<T>, min: T, max: T) -> Result<T, Refusal> {
    let found = value.ok_or(Refusal::Kind)?;
    if found < min || max < found {
        return Err(Refusal::Bounds);
    }
    Ok(found)
}

/// Returns a number as TOML. No bound in the table of settings exceeds an `i64`, so no number is cut off.
fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Returns a duration as the table that serde expects for a `Duration`, because TOML has no type for durations.
fn span(time: Duration) -> Value {
    let fields = [
        ("secs".to_owned(), integer(time.as_secs())),
        ("nanos".to_owned(), integer(time.subsec_nanos().into())),
    ];
    Value::Table(fields.into_iter().collect())
}

fn switch(written: &Value) -> Option<Value> {
    match written {
        Value::Boolean(switch) => Some(Value::Boolean(*switch)),
        Value::String(text) => text.parse().ok().map(Value::Boolean),
        _ => None,
    }
}

fn count(written: &Value) -> Option<u64> {
    match written {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Units of sizes with their bytes. The four binary units come first, from the largest; `write_size` uses only these.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

fn size(written: &Value) -> Option<u64> {
    let Value::String(text) = written else {
        return count(written);
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" => 1,
        unit => {
            UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
                .1
        }
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => Some((number.parse::<f64>().ok()? * factor as f64) as u64),
    }
}

/// Writes a size in the largest binary unit that divides it, or else in bytes.
fn write_size(size: &Value) -> String {
    let bytes = count(size).unwrap_or_default();
    let unit = UNITS[..4]
        .iter()
        .find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    match unit {
        Some((unit, factor)) => quoted(&format!("{}{unit}", bytes / factor)),
        None => bytes.to_string(),
    }
}

fn time(written: &Value) -> Option<Duration> {
    humantime::parse_duration(written.as_str()?).ok()
}

fn write_time(span: &Value) -> String {
    let field = |name| span.get(name).and_then(count).unwrap_or_default();
    let nanos = u32::try_from(field("nanos")).unwrap_or_default();
    let time = Duration::new(field("secs"), nanos);
    quoted(&humantime::format_duration(time).to_string())
}

fn text(written: &Value, read: impl Fn(&str) -> Option<String>) -> Option<Value> {
    read(written.as_str()?).map(Value::String)
}

/// Reads a list, or a string with commas between the items. An empty string is an empty list.
fn list(written: &Value, read: impl Fn(&str) -> Option<String>) -> Option<Value> {
    let items: Vec<&str> = match written {
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => text.split(',').map(str::trim).collect(),
        _ => return None,
    };
    items
        .into_iter()
        .map(|item| read(item).map(Value::String))
        .collect::<Option<_>>()
        .map(Value::Array)
}

fn has_items(list: &Value) -> bool {
    list.as_array().is_some_and(|items| !items.is_empty())
}

fn word(text: &str, words: &[&str]) -> Option<String> {
    let word = words.iter().find(|word| word.eq_ignore_ascii_case(text))?;
    Some((*word).to_owned())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn alternatives(words: &[&str]) -> String {
    let quoted_words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    quoted_words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ValueKind = ValueKind::Size {
        min: 1,
        max: 1 << 40,
    };
    const TIME: ValueKind = ValueKind::Time {
        min: Duration::ZERO,
        max: Duration::from_secs(60),
    };

    fn again(kind: &ValueKind, written: &str) -> String {
        let meant = kind.read(&Value::from(written)).expect(written);
        kind.write(&meant)
    }

    #[test]
    fn sizes_are_read_in_every_usual_unit() {
        for (written, bytes) in [
            ("64", 64),
            ("64B", 64),
            ("64 KiB", 65_536),
            ("64mib", 67_108_864),
            ("1.5GiB", 1_610_612_736),
            ("2MB", 2_000_000),
        ] {
            assert_eq!(
                SIZE.read(&Value::from(written)),
                Ok(integer(bytes)),
                "{written}"
            );
        }
        assert_eq!(SIZE.read(&Value::Integer(7)), Ok(integer(7)));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for written in [
            "",
            "MiB",
            "64 elephants",
            "-1",
            "1.2.3MiB",
            ".",
            "99999999999999999999",
        ] {
            let refusal = SIZE.read(&Value::from(written)).unwrap_err();
            assert!(
                refusal == Refusal::Kind || written.starts_with('9'),
                "{written}"
            );
        }
        assert_eq!(SIZE.read(&Value::Integer(-1)), Err(Refusal::Kind));
        assert_eq!(SIZE.read(&Value::Integer(0)), Err(Refusal::Bounds));
        assert_eq!(SIZE.read(&Value::from("2TiB")), Err(Refusal::Bounds));
    }

    #[test]
    fn sizes_are_written_in_the_largest_unit_without_a_rest() {
        assert_eq!(again(&SIZE, "1024KiB"), "\"1MiB\"");
        assert_eq!(again(&SIZE, "1500"), "1500");
    }

    #[test]
    fn times_need_a_unit_and_may_have_a_fraction() {
        assert_eq!(again(&TIME, "1.5s"), "\"1s 500ms\"");
        assert_eq!(again(&TIME, "1s 500ms"), "\"1s 500ms\"");
        assert_eq!(again(&TIME, "0s"), "\"0s\"");
        assert_eq!(TIME.read(&Value::from("10")), Err(Refusal::Kind));
        assert_eq!(TIME.read(&Value::Integer(10)), Err(Refusal::Kind));
        assert_eq!(TIME.read(&Value::from("2m")), Err(Refusal::Bounds));
    }

    #[test]
    fn a_list_may_be_a_string_with_commas() {
        let kind = ValueKind::Words(&["polling", "websocket"]);
        assert_eq!(
            again(&kind, "polling, WebSocket"),
            "[\"polling\", \"websocket\"]"
        );
        assert_eq!(kind.read(&Value::from("")), Err(Refusal::Kind));
        assert_eq!(kind.read(&Value::from("polling,")), Err(Refusal::Kind));
    }
}
