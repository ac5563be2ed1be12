//! The output of commands: lines on standard output and standard error, JSON, and reports in columns.

pub(super) mod json;
mod report;
pub(super) mod terminal;

pub(super) use self::report::{Output, print_columns, print_json};
pub(super) use self::terminal::{print, print_error};
