//! A strict parser for the output of `/metrics`: the text format of Prometheus, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::collections::BTreeMap;

/// The samples of one scrape. A key is a series as the text writes it: `name{label="value"}`.
#[derive(Debug)]
pub struct Scrape(BTreeMap<String, f64>);

/// A metric family: its name and its type, which is empty until the TYPE line.
struct Family {
    name: String,
    kind: String,
    has_help: bool,
}

impl Scrape {
    /// Parses the text of a scrape.
    ///
    /// # Panics
    /// Panics if the text violates the format. The message names the line or the series.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut families: Vec<Family> = Vec::new();
        let mut samples = BTreeMap::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                read_comment(comment, &mut families);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let name = series.split('{').next().unwrap_or_default();
            check_labels(&series[name.len()..]);
            let family = families.last().expect("a family before its samples");
            assert!(belongs(name, family), "{line} stands among {}", family.name);
            let value = read_value(value).unwrap_or_else(|| panic!("no value: {line}"));
            let twice = samples.insert(series.to_owned(), value);
            assert_eq!(twice, None, "twice: {line}");
        }
        let scrape = Self(samples);
        for family in families.iter().filter(|family| family.kind == "histogram") {
            scrape.check_histogram(&family.name);
        }
        scrape
    }

    /// Returns the value of a series, which is written as in the text.
    ///
    /// # Panics
    /// Panics if the scrape does not contain the series.
    pub fn value(&self, series: &str) -> f64 {
        self.get(series)
            .unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// Returns the value of a series, or `None` if the scrape does not contain it.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// Asserts that the buckets of a histogram are cumulative, and that the `+Inf` bucket equals the count.
    fn check_histogram(&self, name: &str) {
        let prefix = format!("{name}_count");
        let counts = self
            .0
            .iter()
            .filter(|(series, _)| series.starts_with(&prefix));
        for (series, count) in counts {
            let labels = series[prefix.len()..].trim_matches(['{', '}']);
            let start = format!("{name}_bucket{{{labels}");
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            for (series, value) in self.0.iter().filter(|(other, _)| other.starts_with(&start)) {
                let bound = series.split("le=\"").nth(1).expect("a bound");
                let bound = bound.split('"').next().unwrap_or_default();
                buckets.push((read_value(bound).expect("a number"), *value));
            }
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{series}: {buckets:?}"
            );
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{series}");
        }
    }
}

/// Parses a comment: `HELP name text` or `TYPE name kind`.
fn read_comment(comment: &str, families: &mut Vec<Family>) {
    let mut words = comment.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (what, name, rest) = (word(), word(), word());
    assert!(is_name(name), "{comment}");
    match what {
        "HELP" => {
            let again = families.iter().any(|family| family.name == name);
            assert!(!again, "a family stands together: {comment}");
            assert!(!rest.is_empty(), "{comment}");
            families.push(Family {
                name: name.to_owned(),
                kind: String::new(),
                has_help: true,
            });
        }
        "TYPE" => {
            let family = families.last_mut().expect("HELP goes before TYPE");
            assert!(family.name == name && family.has_help, "{comment}");
            assert!(
                ["counter", "gauge", "histogram"].contains(&rest),
                "{comment}"
            );
            assert_eq!(rest == "counter", name.ends_with("_total"), "{comment}");
            family.kind = rest.to_owned();
        }
        _ => panic!("{comment}"),
    }
}

fn belongs(sample: &str, family: &Family) -> bool {
    let rest = sample.strip_prefix(family.name.as_str());
    match family.kind.as_str() {
        "histogram" => rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
        _ => rest == Some(""),
    }
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(good)
}

/// Asserts that `labels` is empty or has the form `{name="value",…}`.
fn check_labels(labels: &str) {
    let Some(mut rest) = labels.strip_prefix('{') else {
        assert_eq!(labels, "");
        return;
    };
    while rest != "}" {
        let (name, value) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name), "{labels}");
        let mut escaped = false;
        let end = value.find(|c: char| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        let after = &value[end.expect("a value has an end") + 1..];
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

fn read_value(value: &str) -> Option<f64> {
    match value {
        "+Inf" => Some(f64::INFINITY),
        value => value.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}
