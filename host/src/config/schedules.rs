//! Reads the table `schedules` of a handler: times for schedules instead of those that the handler declares.

use toml::{Table, Value};

use super::value::Refusal;
use crate::runtime::ScheduleSetting;

/// Reads `{ cleanup = "every 1h", report = "off" }`: names of schedules, each with its times or `off`.
pub(super) fn schedules(written: &Value) -> Result<Value, Refusal> {
    let table = written.as_table().ok_or(Refusal::Kind)?;
    let mut schedules = Table::new();
    for (name, written) in table {
        let refuse = |cause: String| Refusal::Entry {
            key: name.clone(),
            value: written.to_string(),
            cause,
        };
        let text = written.as_str().ok_or_else(|| {
            refuse("it is not text; write for example \"every 1h\" or \"off\"".to_owned())
        })?;
        let setting: ScheduleSetting = text
            .parse()
            .map_err(|error| refuse(format!("{error}; or write \"off\"")))?;
        schedules.insert(name.clone(), Value::String(setting.to_string()));
    }
    Ok(Value::Table(schedules))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, Refusal> {
        let table: Table = format!("x = {text}").parse().unwrap();
        schedules(&table["x"])
    }

    #[test]
    fn i12_5_times_are_read_and_a_wrong_one_is_named() {
        let read_well = read(
            r#"{ cleanup = "every  1h", "re.port" = "off", night = "0 3 * * * Europe/Berlin" }"#,
        );
        let table = read_well.unwrap();
        assert_eq!(table["cleanup"].as_str(), Some("every 1h"));
        assert_eq!(read(r#""off""#), Err(Refusal::Kind));
        for (text, words) in [
            (r#"{ night = "0 25 * * *" }"#, "the hour"),
            (r#"{ night = "evry 5s" }"#, "every 5s"),
            ("{ night = 5 }", "not text"),
        ] {
            let Err(Refusal::Entry { key, cause, .. }) = read(text) else {
                panic!("{text} is taken");
            };
            assert!(key == "night" && cause.contains(words), "{text}: {cause}");
        }
    }
}
