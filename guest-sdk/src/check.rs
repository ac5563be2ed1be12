//! Checks of what clients send, beyond the types of serde.

use std::ops::RangeInclusive;

use crate::error::Failure;

/// Returns a text without the white space around it. Fails if fewer or more characters remain than `length` permits.
///
/// ```
/// use hitchy_guest::{Failure, trimmed};
///
/// assert_eq!(trimmed(" Ada ", 1..=30), Ok("Ada"));
/// let empty = trimmed(" ", 1..=30).unwrap_err();
/// assert_eq!(empty, Failure::new(400, "Please write 1 to 30 characters."));
/// ```
///
/// # Errors
/// Returns 400 with a sentence for people.
pub fn trimmed(text: &str, length: RangeInclusive<usize>) -> Result<&str, Failure> {
    let trimmed = text.trim();
    if length.contains(&trimmed.chars().count()) {
        return Ok(trimmed);
    }
    let (least, most) = length.into_inner();
    Err(Failure::new(
        400,
        format!("Please write {least} to {most} characters."),
    ))
}
