//! Reads the settings about buckets of key-value storage: `bucket` and `buckets` of a handler.

use toml::Value;

use super::value::Refusal;
use crate::kv::BucketName;

/// Reads the name of a bucket.
pub(super) fn name(text: &str) -> Option<String> {
    BucketName::new(text).is_ok().then(|| text.to_owned())
}

/// Reads `{ shared = "read-write", logs = "read" }`.
pub(super) fn grants(written: &Value) -> Result<Value, Refusal> {
    let table = written.as_table().ok_or(Refusal::Kind)?;
    let is_grant = |(bucket, access): (&String, &Value)| {
        name(bucket).is_some() && matches!(access.as_str(), Some("read" | "read-write"))
    };
    if !table.iter().all(is_grant) {
        return Err(Refusal::Kind);
    }
    Ok(written.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_a_bucket_with_read_or_read_write() {
        let table = |text: &str| Value::Table(text.parse().unwrap());
        assert!(grants(&table("shared = \"read-write\"\n\"api/x\" = \"read\"")).is_ok());
        for text in [
            "a = \"write\"",
            "a = true",
            "\"\" = \"read\"",
            "\"a\\nb\" = \"read\"",
        ] {
            assert_eq!(grants(&table(text)), Err(Refusal::Kind), "{text}");
        }
        assert_eq!(grants(&Value::from("a")), Err(Refusal::Kind));
    }
}
