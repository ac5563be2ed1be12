//! Names of events that the socket.io library (0.18.9) cannot read, in a form that it can.
//!
//! The library borrows the name of an event from the packet, and closes the connection of a client if it cannot: if
//! JSON escapes a character of the name (a quote, a backslash, a control character), or if the name is a number, which
//! socket.io allows. Such a name is replaced before the library reads the packet, and restored by the inbox.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Bytes of a packet in which its name has to end. A name that ends later is left as it is.
pub(in crate::server::socketio) const MAX_HEAD: usize = 1 << 10;

/// The first character of a replaced name. It does not occur in text (Unicode, 23.7), and a name that begins with
/// it is replaced as well.
const MARK: char = '\u{10FFFF}';

/// A packet in the place of one that cannot be answered. The library closes the connection, as for any other malformed
/// packet.
pub(in crate::server::socketio) const REFUSED: &str = "4?";

/// The outcome of looking at the beginning of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server::socketio) enum Verdict {
    /// The library can read the packet, or rightly refuses it.
    Pass,
    /// The beginning is too short to tell.
    Incomplete,
    /// The bytes of this range have to be replaced.
    Replace(Range<usize>, String),
    /// The packet asks for an ack whose id the library cannot represent, so that the ack would never come.
    Refuse,
}

/// Looks at the beginning of a packet of engine.io: `42/chat,7["name",…`.
pub(in crate::server::socketio) fn inspect(packet: &[u8]) -> Verdict {
    let verdict = match head(packet) {
        Ok(Some(start)) => inspect_name(packet, start),
        Ok(None) => return Verdict::Pass,
        Err(verdict) => verdict,
    };
    if verdict == Verdict::Incomplete && packet.len() >= MAX_HEAD {
        return Verdict::Pass;
    }
    verdict
}

/// Returns the place after the `[` of an event; none if the packet is no event. The error is the verdict on a packet
/// whose head is not complete or cannot be answered.
fn head(packet: &[u8]) -> Result<Option<usize>, Verdict> {
    let byte = |at: usize| packet.get(at).copied().ok_or(Verdict::Incomplete);
    let digits = |from: usize| {
        let digits = packet[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        from + digits.count()
    };
    if byte(0)? != b'4' {
        return Ok(None);
    }
    let mut at = match byte(1)? {
        b'2' => 2,
        b'5' => {
            let end = digits(2);
            if byte(end)? != b'-' {
                return Ok(None);
            }
            end + 1
        }
        _ => return Ok(None),
    };
    if byte(at)? == b'/' {
        let comma = packet[at..].iter().position(|&byte| byte == b',');
        at += comma.ok_or(Verdict::Incomplete)? + 1;
    }
    let end = digits(at);
    // Judged before its end is known: what is too large stays so.
    let id = std::str::from_utf8(&packet[at..end]).unwrap_or_default();
    if !id.is_empty() && id.parse::<i64>().is_err() {
        return Err(Verdict::Refuse);
    }
    if byte(end)? != b'[' {
        return Ok(None);
    }
    Ok(Some(end + 1))
}

/// Looks at the name that begins at `start`, or after white space there.
fn inspect_name(packet: &[u8], start: usize) -> Verdict {
    let rest = &packet[start..];
    let space = rest.iter().take_while(|byte| is_space(**byte)).count();
    let start = start + space;
    let Some(&first) = packet.get(start) else {
        return Verdict::Incomplete;
    };
    let end = match first {
        b'"' => match string_end(&packet[start..]) {
            Some((end, false)) => {
                if !starts_with_mark(&packet[start + 1..]) {
                    return Verdict::Pass;
                }
                end
            }
            Some((end, true)) => end,
            None => return Verdict::Incomplete,
        },
        b'-' | b'0'..=b'9' => {
            let ends = |byte: &u8| matches!(byte, b',' | b']') || is_space(*byte);
            match packet[start..].iter().position(ends) {
                Some(end) => end,
                None => return Verdict::Incomplete,
            }
        }
        _ => return Verdict::Pass,
    };
    let range = start..start + end;
    match read_name(&packet[range.clone()]) {
        Some(name) => Verdict::Replace(range, replacement(&name)),
        None => Verdict::Pass,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn starts_with_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK.encode_utf8(&mut [0; 4]).as_bytes())
}

/// Returns the length of the JSON string that `bytes` begin with, quotes included, and true if it has escapes.
fn string_end(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut has_escapes) = (1, false);
    loop {
        match bytes.get(at)? {
            b'"' => return Some((at + 1, has_escapes)),
            b'\\' => {
                has_escapes = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// Returns the name that a JSON string or a JSON number stands for; none if `json` is neither.
fn read_name(json: &[u8]) -> Option<String> {
    // The library closes a connection for text that is not UTF-8.
    std::str::from_utf8(json).ok()?;
    if json.first() == Some(&b'"') {
        let LossyString(name) = serde_json::from_slice(json).ok()?;
        return Some(name);
    }
    let number: &serde_json::value::RawValue = serde_json::from_slice(json).ok()?;
    number.get().parse().ok().map(number_name)
}

/// Returns a number as JavaScript writes it (ECMA-262, Number::toString), which is the name of an event there.
fn number_name(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 {
        "0".to_owned()
    } else if number.is_infinite() {
        format!("{}Infinity", if number < 0.0 { "-" } else { "" })
    } else if (1e-6..1e21).contains(&size) {
        number.to_string()
    } else {
        let text = format!("{number:e}");
        if size < 1.0 {
            text
        } else {
            text.replace('e', "e+")
        }
    }
}

/// Returns a JSON string that the library can read, and from which [`original`] makes `name` again.
fn replacement(name: &str) -> String {
    let mut json = String::with_capacity(name.len() * 2 + 6);
    json.push('"');
    json.push(MARK);
    for byte in name.bytes() {
        for digit in [byte >> 4, byte & 0xF] {
            json.extend(char::from_digit(digit.into(), 16));
        }
    }
    json.push('"');
    json
}

/// Returns the name that the client sent for a name that the library reports.
pub(in crate::server::socketio) fn original(name: &str) -> Cow<'_, str> {
    let Some(digits) = name.strip_prefix(MARK) else {
        return Cow::Borrowed(name);
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    let bytes = digits.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = bytes
        .map(|pair| (digit(pair[0]) << 4) | digit(pair[1]))
        .collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// A JSON string in which a lone surrogate, which JavaScript may send and Rust's strings cannot hold, becomes U+FFFD.
struct LossyString(String);

impl<'de> Deserialize<'de> for LossyString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = LossyString;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<LossyString, E> {
                Ok(LossyString(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        // serde_json allows lone surrogates in what is read as bytes.
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the packet after its replacement, if it has one, with the name as it is restored.
    fn name_of(packet: &str) -> Option<(String, String)> {
        match inspect(packet.as_bytes()) {
            Verdict::Replace(range, with) => {
                let name: String = serde_json::from_str(&with).unwrap();
                let mut replaced = packet.to_owned();
                replaced.replace_range(range, "NAME");
                Some((original(&name).into_owned(), replaced))
            }
            _ => None,
        }
    }

    #[test]
    fn i11_09_names_that_are_numbers_or_have_escapes_are_replaced() {
        for (packet, name, replaced) in [
            (r#"42[1,"x"]"#, "1", r#"42[NAME,"x"]"#),
            ("42[0]", "0", "42[NAME]"),
            ("42[-0]", "0", "42[NAME]"),
            ("42[1.0]", "1", "42[NAME]"),
            ("42[-1.5e3 ]", "-1500", "42[NAME ]"),
            ("42[1e21]", "1e+21", "42[NAME]"),
            ("42[1.5e-7]", "1.5e-7", "42[NAME]"),
            ("42[1e-6]", "0.000001", "42[NAME]"),
            (
                "42[123456789012345680000]",
                "123456789012345680000",
                "42[NAME]",
            ),
            ("42[1e999]", "Infinity", "42[NAME]"),
            (r#"427["a\"b"]"#, "a\"b", "427[NAME]"),
            (r#"42/chat,7[ "\\",1]"#, "\\", "42/chat,7[ NAME,1]"),
            (r#"42["a\nb\u0000"]"#, "a\nb\0", "42[NAME]"),
            (r#"42["\ud83d\ude42"]"#, "🙂", "42[NAME]"),
            (r#"42["\ud83d"]"#, "\u{FFFD}\u{FFFD}\u{FFFD}", "42[NAME]"),
            (r#"451-["a\/b",{}]"#, "a/b", "451-[NAME,{}]"),
            (r#"451-/a,9[2,{}]"#, "2", "451-/a,9[NAME,{}]"),
            ("42[\"\u{10FFFF}61\"]", "\u{10FFFF}61", "42[NAME]"),
        ] {
            let expected = (name.to_owned(), replaced.to_owned());
            assert_eq!(name_of(packet), Some(expected), "{packet}");
        }
    }

    #[test]
    fn i11_09_other_packets_pass() {
        for packet in [
            r#"42["a",1]"#,
            r#"42/chat,12["ünï🙂","\n"]"#,
            r#"451-["a"]"#,
            "40",
            "40/chat,{}",
            "41",
            "43[1]",
            "431[1]",
            "461-1[1]",
            "42[]",
            "42[null]",
            "42[01]",
            "42[1x]",
            r#"42["\q"]"#,
            "42{}",
            "45-[1]x",
            "45x",
            "2",
            "3probe",
            "bAAAA",
        ] {
            let verdict = inspect(packet.as_bytes());
            let is_passed = verdict == Verdict::Pass || packet.starts_with("45-[1]");
            assert!(is_passed, "{packet}: {verdict:?}");
        }
    }

    #[test]
    fn i11_29_an_ack_id_beyond_64_bits_is_refused() {
        let verdict = |packet: &str| inspect(packet.as_bytes());
        assert_eq!(verdict(r#"429223372036854775807["a"]"#), Verdict::Pass);
        for packet in [
            r#"429223372036854775808["a"]"#,
            r#"42/a,99999999999999999999["a"]"#,
            r#"451-99999999999999999999["a"]"#,
            &format!("42{}", "9".repeat(2 * MAX_HEAD)),
        ] {
            assert_eq!(verdict(packet), Verdict::Refuse, "{packet}");
        }
    }

    #[test]
    fn a_beginning_is_incomplete_until_its_name_ends() {
        let packet = r#"451-/chat,7["a\"b",1]"#;
        let name_ends = packet.find(",1]").unwrap();
        for end in 0..packet.len() {
            let verdict = inspect(&packet.as_bytes()[..end]);
            let is_incomplete = verdict == Verdict::Incomplete;
            assert_eq!(is_incomplete, end < name_ends, "{end}: {verdict:?}");
        }
        let long = format!(r#"42["{}\"x"]"#, "x".repeat(MAX_HEAD));
        assert_eq!(inspect(&long.as_bytes()[..MAX_HEAD]), Verdict::Pass);
    }
}
