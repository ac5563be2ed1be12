//! Prints the reports of commands: columns for people, JSON for programs.

use clap::ValueEnum;
use serde::Serialize;

use super::client::json;
use super::print;
use crate::text::visible;

/// The reader of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Prints rows, each column as wide as its widest cell, with so many spaces before them.
pub(super) fn print_columns(rows: &[Vec<String>], indent: usize) {
    for line in columns(rows) {
        print(format_args!("{:indent$}{line}", ""));
    }
}

fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let cells = |row: &Vec<String>| -> Vec<String> {
        row.iter().map(|cell| visible(cell).into_owned()).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Prints JSON, without what could act on a terminal: names in it are those of files and of what is in them.
pub(super) fn print_json(value: &impl Serialize) {
    // Text, numbers and lists of them always serialise.
    let text = serde_json::to_string(value).unwrap_or_default();
    print(json::pretty(&text));
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [
            row(&["GET", "/ä", "a.wasm"]),
            row(&["DELETE", "/", ""]),
            row(&["*", "/x"]),
        ];
        assert_eq!(
            columns(&rows),
            ["GET     /ä  a.wasm", "DELETE  /", "*       /x"]
        );
    }
}
