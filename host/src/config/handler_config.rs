//! Reads the table `config` of a handler: values by key, all of which are text for the handler.

use toml::{Table, Value};

use super::value::Refusal;

/// Reads `{ greeting = "hello", retries = 3 }`. Numbers, booleans and times become their text, because that is what the
/// interface gives to guests. Arrays and tables are refused, because their text could be TOML or JSON.
pub(super) fn read(written: &Value) -> Result<Value, Refusal> {
    let table = written.as_table().ok_or(Refusal::Kind)?;
    let texts = table.iter().map(|(key, value)| {
        let text = text(value).filter(|_| !key.is_empty())?;
        Some((key.clone(), Value::String(text)))
    });
    let texts: Option<Table> = texts.collect();
    texts.map(Value::Table).ok_or(Refusal::Kind)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => Some(value.to_string()),
        Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        let table: Table = format!("x = {text}").parse().expect("TOML");
        table["x"].clone()
    }

    #[test]
    fn i12_3_values_become_text() {
        let written =
            value(r#"{ a = "x y", b = 3, c = 1.5, d = true, e = 2026-01-01, "f.g" = "" }"#);
        let texts =
            value(r#"{ a = "x y", b = "3", c = "1.5", d = "true", e = "2026-01-01", "f.g" = "" }"#);
        assert_eq!(read(&written), Ok(texts));
    }

    #[test]
    fn i12_3_what_has_parts_or_no_key_is_refused() {
        for text in [
            r#"{ a = { b = 1 } }"#,
            "{ a = [1] }",
            r#"{ "" = 1 }"#,
            r#""a""#,
        ] {
            assert_eq!(read(&value(text)), Err(Refusal::Kind), "{text}");
        }
    }
}
