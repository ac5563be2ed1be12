//! Reads the tables of `[dev]`: the commands that `hitchy dev` and `hitchy build` run besides cargo, with the files
//! that these commands make.

use std::path::{Component, Path};

use toml::{Table, Value};

use super::value::Refusal;
use crate::names::{WASM, is_script};

/// Keys that the table `dev.setup` may have.
const SETUP_KEYS: [&str; 2] = ["command", "creates"];

/// Reads `{ "handlers/chat.wasm" = "command" }`: files of handlers below the project folder, each with the command that
/// makes it.
pub(super) fn build(written: &Value) -> Result<Value, Refusal> {
    let table = written.as_table().ok_or(Refusal::Kind)?;
    let is_build = |(file, command): (&String, &Value)| {
        let is_handler = file.ends_with(WASM) || is_script(file);
        is_inside(file) && is_handler && is_command(command)
    };
    if !table.iter().all(is_build) {
        return Err(Refusal::Kind);
    }
    Ok(written.clone())
}

/// Reads `{ command = "npm ci", creates = "node_modules" }`: a command and the path below the project folder that it
/// creates. Both keys are required, and no other key is accepted.
pub(super) fn setup(written: &Value) -> Result<Value, Refusal> {
    let table = written.as_table().ok_or(Refusal::Kind)?;
    if let Some(unknown) = table.keys().find(|key| !SETUP_KEYS.contains(&key.as_str())) {
        return Err(Refusal::Key {
            unknown: unknown.clone(),
            known: &SETUP_KEYS,
        });
    }
    let creates = table.get("creates").and_then(Value::as_str);
    if !table.get("command").is_some_and(is_command) || !creates.is_some_and(is_inside) {
        return Err(Refusal::Kind);
    }
    Ok(Value::Table(Table::clone(table)))
}

fn is_command(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Returns true if a relative path names something below the folder from which it starts. Absolute paths, paths
/// that begin with `.` and paths that contain `..` do not.
fn is_inside(path: &str) -> bool {
    let is_name = |part| matches!(part, Component::Normal(_));
    !path.is_empty() && Path::new(path).components().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        let table: Table = format!("x = {text}").parse().unwrap();
        table["x"].clone()
    }

    #[test]
    fn a_build_is_a_file_below_the_folder_and_a_command() {
        for file in ["handlers/a.wasm", "handlers/a.js", "a.mts"] {
            let table = format!(r#"{{ "{file}" = "make a" }}"#);
            assert!(build(&value(&table)).is_ok(), "{file}");
        }
        for text in [
            r#"{ "a.d.ts" = "make" }"#,
            r#"{ "a.css" = "make" }"#,
            r#"{ "../a.wasm" = "make" }"#,
            r#"{ "/a.wasm" = "make" }"#,
            r#"{ "a.wasm" = " " }"#,
            r#"{ "a.wasm" = 1 }"#,
            r#""make""#,
        ] {
            assert_eq!(build(&value(text)), Err(Refusal::Kind), "{text}");
        }
    }

    #[test]
    fn a_setup_says_what_it_creates_inside_the_folder() {
        assert!(
            setup(&value(
                r#"{ command = "npm ci", creates = "node_modules" }"#
            ))
            .is_ok()
        );
        for text in [
            r#"{ command = "npm ci" }"#,
            r#"{ creates = "a" }"#,
            r#"{ command = "rm", creates = ".." }"#,
            r#"{ command = "x", creates = "" }"#,
            r#""npm ci""#,
        ] {
            assert_eq!(setup(&value(text)), Err(Refusal::Kind), "{text}");
        }
    }
}
