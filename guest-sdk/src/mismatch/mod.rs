//! Sentences about input of a client that does not fit the wanted type.
//!
//! A sentence gives the path of the field, what was expected and what was found. It uses the words of JSON and not
//! those of Rust, because the authors of clients read it.
//!
//! The functions run only after serde has refused a value, so input that fits costs nothing. They read serde's message
//! and the position of the error. They are not generic, so there is one copy for all types.

mod place;
mod words;

use std::fmt::Write;

use serde_json::Error;
use serde_json::error::Category;

use self::place::{Step, path};
pub(crate) use self::words::{describe, expected};

/// Returns the sentence for a JSON text. `what` is the name of the text, for example "the body".
pub(crate) fn json(what: &str, text: &[u8], error: &Error) -> String {
    if text.trim_ascii().is_empty() {
        return format!("{what} is empty, JSON is expected");
    }
    match locate(text, error) {
        Some((steps, message)) => {
            format!("{what} does not fit: {}", describe(&path(&steps), &message))
        }
        None => format!("{what} is not JSON: {error}"),
    }
}

/// Returns the sentence for the arguments of an event or an ack. It contains the number of the argument only where the
/// rest would be unclear.
pub(crate) fn arguments(text: &[u8], error: &Error) -> String {
    let mut sentence = String::from("the arguments do not fit: ");
    let Some((steps, message)) = locate(text, error) else {
        return sentence + &error.to_string();
    };
    // The outermost array is the list of arguments, so its index is not part of the path.
    let (number, inner_steps) = match steps.as_slice() {
        [Step::Index(number), inner @ ..] => (Some(*number), inner),
        all => (None, all),
    };
    let words = describe(&path(inner_steps), &message);
    if let Some(number) =
        number.filter(|number| *number > 0 || !words.bytes().any(|byte| byte == b'`'))
    {
        let _ = write!(sentence, "argument {}: ", number + 1);
    }
    sentence + &words
}

/// Returns the steps to the value that does not fit, and serde's message about it. Returns `None` if the text is not
/// JSON.
fn locate<'t>(text: &'t [u8], error: &Error) -> Option<(Vec<Step<'t>>, String)> {
    let mut end = place::offset(text, error.line(), error.column());
    let mut message = error.to_string();
    if error.classify() != Category::Data {
        // For an enum whose value is neither a string nor an object, serde_json reports the same error as for text that
        // is not a value.
        end = end.checked_sub(1)?;
        let found = words::kind(*text.get(end)?)?;
        if !message.starts_with("expected value") {
            return None;
        }
        message = format!("invalid type: {found}, expected enum ");
    } else if let Some((words, _)) = words::split_last(&message, " at line ") {
        let length = words.len();
        message.truncate(length);
    }
    Some((place::steps(&text[..end]), message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it fits is asked")]
    struct Message {
        room: String,
        author: Option<Author>,
        #[serde(default)]
        tags: Vec<Tag>,
        #[serde(default)]
        counts: BTreeMap<String, u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it fits is asked")]
    struct Author {
        name: String,
        age: Option<i64>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Tag {
        Red,
        Green,
    }

    #[test]
    fn an_array_of_another_length_is_told_with_both() {
        assert_eq!(
            body::<(u8, u8)>("[1]"),
            "the body does not fit: expected an array of 2 elements, found 1"
        );
    }

    fn body<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        let error = serde_json::from_str::<T>(text).unwrap_err();
        json("the body", text.as_bytes(), &error)
    }

    #[test]
    fn the_field_is_named_with_what_it_takes() {
        for (text, words) in [
            (
                r#"{"room":5}"#,
                "`room`: expected a string, found the number 5",
            ),
            (r#"{ }"#, "field `room` is missing"),
            (r#"[]"#, "expected an object, found an array"),
            (r#"5"#, "expected an object, found the number 5"),
            (
                "{\n  \"author\": {\"name\":\n  [\"a,b:{\"] }}",
                "`author.name`: expected a string, found an array",
            ),
            (r#"{"author":{"age":1}}"#, "field `author.name` is missing"),
            (
                r#"{"author":{"name":"a","nick":"b"}}"#,
                "field `author.nick` is not known, expected `name` or `age`",
            ),
            (
                r#"{"author":{"name":"a","name":"b"}}"#,
                "field `author.name` is given twice",
            ),
            (
                r#"{"author":{"name":"a","age":1.5}}"#,
                "`author.age`: expected a whole number, found the number 1.5",
            ),
            (
                r#"{"room":"a\"]","tags":["red","blue"]}"#,
                "`tags[1]`: expected `red` or `green`, found `blue`",
            ),
            (
                r#"{"room":"a","tags":["red",[]]}"#,
                "`tags[1]`: expected a string or an object, found an array",
            ),
            (
                r#"{"room":"a","counts":{"ü":256}}"#,
                "`counts.ü`: expected a whole number from 0 to 255, found the number 256",
            ),
            (
                r#"{"room":"a","counts":null}"#,
                "`counts`: expected an object, found null",
            ),
        ] {
            assert_eq!(
                body::<Message>(text),
                format!("the body does not fit: {words}")
            );
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_the_place() {
        assert_eq!(
            body::<Message>(r#"{"room":"a" 1"#),
            "the body is not JSON: expected `,` or `}` at line 1 column 13"
        );
        assert_eq!(
            body::<Message>(r#"{"room":x}"#),
            "the body is not JSON: expected value at line 1 column 9"
        );
        assert_eq!(
            body::<Message>(" \n"),
            "the body is empty, JSON is expected"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = format!("{{\"room\":\"a\",\"author\":{:?}}}", "ü".repeat(5000));
        let sentence = body::<Message>(&text);
        assert!(sentence.len() < 200, "{sentence}");
        let text = format!("{{\"room\":\"a\",\"tags\":[{:?}]}}", "ü".repeat(5000));
        let sentence = body::<Message>(&text);
        assert!(sentence.len() < 200, "{sentence}");
    }
}
