//! Schedules: a name and its times, at which the guest's `schedules.on-schedule` runs.

use std::collections::BTreeMap;

use super::kind::{CallKind, Kind, Row, Words, check_text, impl_export, refuse};
use crate::runtime::bindings::exports::hitchy::platform::schedules as exported;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::lease::Owner;
use crate::runtime::settings::ScheduleSetting;
use crate::timetable::Timetable;

/// The call of a schedule at one of its times.
pub const SCHEDULE: CallKind = CallKind { name: "schedule" };

/// Largest size of a name in bytes.
const MAX_NAME: usize = 64;

/// A name and its times.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The name, unique in the file.
    pub name: String,
    /// The times that are in force: those of the guest, or those that the operator set. `None` if the operator switched
    /// the schedule off.
    pub times: Option<Timetable>,
    /// The times in force as text: `every 5s`, `0 3 * * * Europe/Berlin`, `off`.
    pub shown: String,
}

impl Kind for Schedule {
    /// The name and the times as the guest declared them.
    type Raw = (String, String);
    impl_export!(exported);

    const WORDS: Words = Words {
        key: "schedules",
        title: "schedules",
        one: "a schedule",
        interface: "schedules",
    };
    const CALLS: &'static [CallKind] = &[SCHEDULE];

    fn check((name, spec): Self::Raw) -> Result<Self, LoadError> {
        check_name(&name)?;
        check_text("spec of a schedule", &spec)?;
        let times: Timetable = spec.parse().map_err(|error| {
            LoadError::Declaration(format!("it declares the schedule {name}: {error}"))
        })?;
        Ok(Self {
            name,
            shown: times.to_string(),
            times: Some(times),
        })
    }

    fn check_all(all: &[Self]) -> Result<(), LoadError> {
        for (index, schedule) in all.iter().enumerate() {
            let name = &schedule.name;
            if all[..index].iter().any(|other| other.name == *name) {
                return refuse(format!(
                    "it declares two schedules of the name {name:?}; give one of them another name (in Rust, with .schedule(name, spec, \
                     function))"
                ));
            }
        }
        Ok(())
    }

    fn row(&self) -> Row<'_> {
        Row {
            line: format!("schedule {} ({})", self.name, self.shown),
            cells: vec![("name", self.name.as_str()), ("times", self.shown.as_str())],
            sort_key: [&self.name, ""],
        }
    }
}

/// Refuses a name that the operator could not write in the settings.
fn check_name(name: &str) -> Result<(), LoadError> {
    check_text("name of a schedule", name)?;
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_sign) {
        return refuse(format!(
            "{name:?} is not a name for a schedule; use up to {MAX_NAME} letters, digits, \"-\", \"_\" and \".\", for example \
             \"cleanup\""
        ));
    }
    Ok(())
}

/// Gives schedules the times that the operator set.
pub(in crate::runtime) fn apply(
    settings: &BTreeMap<String, ScheduleSetting>,
    schedules: &mut [Schedule],
) {
    for schedule in schedules {
        let Some(setting) = settings.get(&schedule.name) else {
            continue;
        };
        schedule.shown = setting.to_string();
        schedule.times = match setting {
            ScheduleSetting::Off => None,
            ScheduleSetting::Times(times) => Some(times.clone()),
        };
    }
}

impl Guest {
    /// Calls `on-schedule` of a schedule, by its index. `due` is the time at which it is due, in milliseconds since the
    /// Unix epoch.
    pub async fn on_schedule(&self, context: CallContext, schedule: u32, due: u64) -> Outcome<()> {
        let ended = self
            .serve(context, Owner::Anyone, async |store, linked| {
                let guest = self.load::<Schedule>(store, linked)?;
                guest.call_on_schedule(&mut *store, schedule, due).await
            })
            .await?;
        self.outcome(ended, |(), _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, spec: &str) -> Result<Schedule, String> {
        Schedule::check((name.to_owned(), spec.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn i12_5_a_bad_spec_is_refused_with_the_name_the_field_and_an_example() {
        let error = check("cleanup", "0 25 * * *").unwrap_err();
        for word in ["cleanup", "the hour", "25", "0 9-17 * * *"] {
            assert!(error.contains(word), "{error}");
        }
        for name in ["", "a b", "{{closure}}", "ü", &"x".repeat(65)] {
            assert!(check(name, "every 5s").is_err(), "{name}");
        }
    }

    #[test]
    fn i12_5_names_are_unique() {
        let one = check("a", "every 5s").unwrap();
        let error = Schedule::check_all(&[one.clone(), one]).unwrap_err();
        assert!(error.to_string().contains("\"a\""), "{error}");
    }

    #[test]
    fn i12_5_the_operator_gives_other_times_or_none() {
        let mut schedules = ["a", "b", "c"].map(|name| check(name, "every 5s").unwrap());
        let settings = BTreeMap::from([
            ("a".to_owned(), "off".parse().unwrap()),
            ("b".to_owned(), "every 1h".parse().unwrap()),
        ]);
        apply(&settings, &mut schedules);
        let lines = schedules.each_ref().map(|one| one.row().line);
        assert_eq!(
            lines,
            [
                "schedule a (off)",
                "schedule b (every 1h)",
                "schedule c (every 5s)"
            ]
        );
        assert!(schedules[0].times.is_none());
    }
}
