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

#[cfg(test)]
mod tests {
    use super::*;

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
