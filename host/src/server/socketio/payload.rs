//! The body of a polling request: packets of engine.io that are separated by a byte.

use bytes::Bytes;

use super::wire::event_name::{self, REFUSED, Verdict};
use super::wire::first_packet::FirstPacket;

/// The byte between two packets (engine.io protocol 4).
const SEPARATOR: u8 = 0x1E;

/// Makes packets readable for the library, as the wire does for those of a websocket.
pub(super) fn rewrite(packets: Bytes, mut first_packet: FirstPacket) -> Bytes {
    let mut rewritten: Option<Vec<u8>> = None;
    let mut start = 0;
    for packet in packets.split(|&byte| byte == SEPARATOR) {
        first_packet.text(packet);
        let verdict = event_name::inspect(packet);
        if matches!(verdict, Verdict::Replace(..) | Verdict::Refuse) && rewritten.is_none() {
            rewritten = Some(packets[..start].to_vec());
        }
        start += packet.len() + 1;
        let Some(rewritten) = &mut rewritten else {
            continue;
        };
        match verdict {
            Verdict::Replace(range, name) => {
                rewritten.extend_from_slice(&packet[..range.start]);
                rewritten.extend_from_slice(name.as_bytes());
                rewritten.extend_from_slice(&packet[range.end..]);
            }
            Verdict::Refuse => rewritten.extend_from_slice(REFUSED.as_bytes()),
            Verdict::Pass | Verdict::Incomplete => rewritten.extend_from_slice(packet),
        }
        rewritten.push(SEPARATOR);
    }
    match rewritten {
        Some(mut rewritten) => {
            rewritten.pop();
            rewritten.into()
        }
        None => packets,
    }
}

/// Splits packets into pieces of at most `most` bytes each, as far as single packets allow.
pub(super) fn pieces(mut packets: Bytes, most: usize) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        if packets.is_empty() {
            return None;
        }
        let is_separator = |byte: &u8| *byte == SEPARATOR;
        let end = if packets.len() <= most {
            packets.len()
        } else {
            let before = packets[..=most].iter().rposition(is_separator);
            let after = || packets[most..].iter().position(is_separator);
            before
                .filter(|end| *end > 0)
                .or_else(|| after().map(|end| most + end))
                .unwrap_or(packets.len())
        };
        let piece = packets.split_to(end);
        if !packets.is_empty() {
            // The separator.
            let _ = packets.split_to(1);
        }
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_between_its_packets() {
        let body = "aaa\u{1e}bb\u{1e}cccccc\u{1e}d";
        for (most, expected) in [
            (1, vec!["aaa", "bb", "cccccc", "d"]),
            (3, vec!["aaa", "bb", "cccccc", "d"]),
            (6, vec!["aaa\u{1e}bb", "cccccc", "d"]),
            (8, vec!["aaa\u{1e}bb", "cccccc\u{1e}d"]),
            (100, vec![body]),
        ] {
            let pieces: Vec<_> = pieces(Bytes::from(body), most).collect();
            assert_eq!(pieces, expected, "{most}");
        }
        assert_eq!(pieces(Bytes::new(), 3).count(), 0);
        // Packets without content are the library's to refuse.
        let empty: Vec<_> = pieces(Bytes::from("\u{1e}\u{1e}a"), 1).collect();
        assert!(!empty.is_empty());
    }

    #[test]
    fn i11_09_names_in_the_body_of_a_poll_are_rewritten() {
        let rewritten = |body: &'static str| {
            let body = rewrite(Bytes::from(body), FirstPacket::any());
            String::from_utf8(body.to_vec()).unwrap()
        };
        for same in ["", "2", "3\u{1e}42[\"a\"]", "\u{1e}\u{1e}", "42[\u{1e}1]"] {
            assert_eq!(rewritten(same), same);
        }
        let names = rewritten("3\u{1e}42[1]\u{1e}42[\"a\"]\u{1e}427[\"\\\"\"]\u{1e}bAA==");
        let expected =
            "3\u{1e}42[\"\u{10FFFF}31\"]\u{1e}42[\"a\"]\u{1e}427[\"\u{10FFFF}22\"]\u{1e}bAA==";
        assert_eq!(names, expected);
        assert_eq!(
            rewritten("3\u{1e}4299999999999999999999[\"a\"]"),
            "3\u{1e}4?"
        );
    }
}
