//! The times of a schedule: `every 5s`, or a cron expression with an optional time zone.
//!
//! All times are milliseconds since the Unix epoch, and depend on nothing but the text. Two servers, or one server
//! before and after a reload, therefore agree on them.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Shortest time between two runs. A schedule is for work that nobody waits for, and cron expressions have no shorter
/// step. What should happen within fractions of a second belongs into the event that causes it.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest time between two runs of `every`.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The times of a schedule. Two timetables are equal if their texts are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timetable {
    /// The text in canonical form, with single spaces.
    text: String,
    times: Times,
}

#[derive(Clone, Debug)]
enum Times {
    /// The multiples of a number of milliseconds since the epoch.
    Every(u64),
    /// The times of a cron expression on the clocks of a zone.
    Cron(Box<Cron>, TimeZone),
}

/// A text that gives no times. The sentence names what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// The length after `every` is not a length of time.
    #[error(
        "{0:?} is not a length of time with its unit (s, m, h or d); write for example \"every 5s\" or \"every 1h 30m\""
    )]
    Length(String),
    /// The length after `every` is out of bounds.
    #[error(
        "{0:?} is out of bounds; the time between two runs is from 1s to 366d, as in \"every 5s\""
    )]
    Bounds(String),
    /// The text has another number of fields than a cron expression.
    #[error(
        "{text:?} has {}, and a schedule is \"every\" and a length of time, as in \"every 5s\", or a cron expression of five or six \
         fields, as in \"0 3 * * *\", with a time zone after it, if you like: \"0 3 * * * Europe/Berlin\"",
        counted(*.fields)
    )]
    Fields {
        /// The text as it was written.
        text: String,
        /// The number of fields, without the time zone.
        fields: usize,
    },
    /// A field of a cron expression is wrong.
    #[error("its field for {name}, {field:?}, is wrong; it takes {takes}, as in {example:?}")]
    Field {
        /// The name of the field with its article: `the hour`.
        name: &'static str,
        /// The field as it was written.
        field: String,
        /// The values that the field takes.
        takes: &'static str,
        /// An expression with a valid field at this place.
        example: &'static str,
    },
    /// The time zone is not known.
    #[error(
        "its time zone {0:?} is not known; write a name of the IANA database, as in \"0 3 * * * Europe/Berlin\""
    )]
    Zone(String),
    /// No day and time fits the expression.
    #[error("{0:?} fits no day at all, so that it would never run; see its day and its month")]
    Never(String),
}

/// A field of a cron expression.
struct Field {
    name: &'static str,
    takes: &'static str,
    example: &'static str,
    /// The names of values, which stand for numbers.
    names: &'static [&'static str],
    /// Characters besides digits, `*`, `,`, `-` and `/`.
    more: &'static str,
}

const MONTHS: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The fields of a cron expression. The first may be left out.
const FIELDS: [Field; 6] = [
    Field {
        name: "the second",
        takes: "0 to 59, *, lists, ranges and steps",
        example: "*/10 * * * * *",
        names: &[],
        more: "",
    },
    Field {
        name: "the minute",
        takes: "0 to 59, *, lists, ranges and steps",
        example: "*/10 * * * *",
        names: &[],
        more: "",
    },
    Field {
        name: "the hour",
        takes: "0 to 23, *, lists, ranges and steps",
        example: "0 9-17 * * *",
        names: &[],
        more: "",
    },
    Field {
        name: "the day of the month",
        takes: "1 to 31, L for the last one, *, lists, ranges and steps",
        example: "0 3 1,15 * *",
        names: &[],
        more: "Ll",
    },
    Field {
        name: "the month",
        takes: "1 to 12, JAN to DEC, *, lists, ranges and steps",
        example: "0 3 1 */3 *",
        names: MONTHS,
        more: "",
    },
    Field {
        name: "the day of the week",
        takes: "0 to 7 (Sunday is 0 and 7), SUN to SAT, MON#1 for the first Monday of the month, *, lists, ranges and steps",
        example: "0 3 * * MON-FRI",
        names: DAYS,
        more: "#Ll",
    },
];

impl Timetable {
    /// Returns the first time after `after`. Returns `None` if there is none before the year 5000.
    pub fn next(&self, after: u64) -> Option<u64> {
        match &self.times {
            Times::Every(millis) => (after / millis).checked_add(1)?.checked_mul(*millis),
            Times::Cron(cron, zone) => {
                let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
                let next = cron.find_next_occurrence(&after.to_zoned(zone.clone()), false);
                u64::try_from(next.ok()?.timestamp().as_millisecond()).ok()
            }
        }
    }
}

impl FromStr for Timetable {
    type Err = TimetableError;

    fn from_str(text: &str) -> Result<Self, TimetableError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        let times = match words.split_first() {
            Some((first, rest)) if first.eq_ignore_ascii_case("every") => every(&rest.join(" "))?,
            _ => cron(&words, &text)?,
        };
        Ok(Self { text, times })
    }
}

/// Reads the length after `every`.
fn every(written: &str) -> Result<Times, TimetableError> {
    let not_a_length = || TimetableError::Length(written.to_owned());
    // Months and years are no fixed lengths, and `5M`, five months, is hardly ever meant.
    let is_unit = |unit: &str| {
        matches!(
            unit,
            "" | "ms"
                | "s"
                | "sec"
                | "secs"
                | "second"
                | "seconds"
                | "m"
                | "min"
                | "mins"
                | "minute"
                | "minutes"
                | "h"
                | "hr"
                | "hrs"
                | "hour"
                | "hours"
                | "d"
                | "day"
                | "days"
                | "w"
                | "week"
                | "weeks"
        )
    };
    let has_units = written
        .split(|c: char| !c.is_ascii_alphabetic())
        .all(is_unit);
    let length = humantime::parse_duration(written).ok();
    let length = length.filter(|_| has_units).ok_or_else(not_a_length)?;
    if length < SHORTEST || length > LONGEST {
        return Err(TimetableError::Bounds(written.to_owned()));
    }
    let millis = u64::try_from(length.as_millis()).map_err(|_| not_a_length())?;
    Ok(Times::Every(millis))
}

/// Reads the words of a cron expression.
fn cron(words: &[&str], text: &str) -> Result<Times, TimetableError> {
    let (fields, zone) = match words.split_last() {
        Some((last, fields)) if is_zone(last) => (fields, Some(*last)),
        _ => (words, None),
    };
    if !(5..=6).contains(&fields.len()) {
        // A word that is no time zone was meant as something else: `hourly`, `evry 5s`.
        let is_known = zone.is_none_or(|name| TimeZone::get(name).is_ok());
        let fields = if is_known { fields.len() } else { words.len() };
        let text = text.to_owned();
        return Err(TimetableError::Fields { text, fields });
    }
    let skipped = FIELDS.len() - fields.len();
    for (place, field) in fields.iter().enumerate() {
        check_field(field, skipped + place)?;
    }
    let never = || TimetableError::Never(text.to_owned());
    let cron = parse(&fields.join(" ")).ok_or_else(never)?;
    let zone = match zone {
        Some(name) => TimeZone::get(name).map_err(|_| TimetableError::Zone(name.to_owned()))?,
        None => TimeZone::UTC,
    };
    // Any moment shows that a time comes, because the longest pause, between two leap years, is eight years.
    let some_day = Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    cron.find_next_occurrence(&some_day, false)
        .map_err(|_| never())?;
    Ok(Times::Cron(Box::new(cron), zone))
}

fn counted(fields: usize) -> String {
    match fields {
        0 => "no fields".to_owned(),
        1 => "one field".to_owned(),
        _ => format!("{fields} fields"),
    }
}

/// Returns true for a word that is a time zone and not a field: one with letters that are no name of a value.
fn is_zone(word: &str) -> bool {
    let is_value = |part: &str| {
        let names = DAYS.iter().chain(MONTHS).chain(&["", "L"]);
        names.clone().any(|name| name.eq_ignore_ascii_case(part))
    };
    !word.split(|c: char| !c.is_alphabetic()).all(is_value)
}

/// Refuses a field that is wrong by itself. `place` is its place in [`FIELDS`].
fn check_field(field: &str, place: usize) -> Result<(), TimetableError> {
    let Field {
        name,
        takes,
        example,
        names,
        more,
    } = FIELDS[place];
    let is_sign = |c: char| c.is_ascii_digit() || "*,-/".contains(c) || more.contains(c);
    // The parser would take names of days in the minute, and lists with empty places.
    let named = names.iter().fold(field.to_ascii_uppercase(), |text, name| {
        text.replace(name, "1")
    });
    let is_written_well =
        named.chars().all(is_sign) && named.split(',').all(|part| !part.is_empty());
    // The other fields take everything, so that this one is the cause of an error.
    let mut alone = ["*"; FIELDS.len()];
    alone[place] = field;
    if is_written_well && parse(&alone.join(" ")).is_some() {
        return Ok(());
    }
    Err(TimetableError::Field {
        name,
        field: field.to_owned(),
        takes,
        example,
    })
}

/// Parses the fields of a cron expression.
fn parse(fields: &str) -> Option<Cron> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(fields).ok()
}

impl fmt::Display for Timetable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for Timetable {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Timetable> for String {
    fn from(timetable: Timetable) -> Self {
        timetable.text
    }
}

impl TryFrom<String> for Timetable {
    type Error = TimetableError;

    fn try_from(text: String) -> Result<Self, TimetableError> {
        text.parse()
    }
}
