//! Tests of the frames of a client, with the library's parser behind them.

use super::super::frame::{PING, PONG, server_frame};
use super::*;

const KEY: MaskKey = [7, 77, 177, 3];

/// Returns a frame of a client.
fn frame(is_last: bool, opcode: u8, payload: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&mut bytes, is_last, opcode, Some(KEY), payload.len() as u64);
    let start = bytes.len();
    bytes.extend(payload.as_bytes());
    apply_mask(&mut bytes[start..], KEY);
    bytes
}

/// Passes bytes in pieces of `piece` bytes, and returns what the library gets.
fn passed(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut inbound = Inbound::new(Vec::new(), FirstPacket::any());
    let mut got = Vec::new();
    let mut drain = |inbound: &mut Inbound, direct: &[u8]| {
        got.extend_from_slice(direct);
        let ready = inbound.ready().to_vec();
        inbound.take(ready.len());
        got.extend(ready);
    };
    for piece in bytes.chunks(piece) {
        if inbound.is_direct() {
            let count = inbound.receive(piece);
            drain(&mut inbound, &piece[..count]);
        } else {
            inbound.receive_held(piece);
            drain(&mut inbound, &[]);
        }
    }
    inbound.finish();
    drain(&mut inbound, &[]);
    got
}

/// Returns the messages in frames of a client, with the names of events restored.
fn messages(mut bytes: &[u8]) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut is_open = false;
    while let Some(header) = Header::read(bytes) {
        let (start, end) = (header.size, header.frame() as usize);
        let mut payload = bytes[start..end].to_vec();
        apply_mask(&mut payload, header.mask.unwrap());
        let text = String::from_utf8(payload).unwrap();
        match header.opcode {
            CONTINUATION => {
                assert!(is_open, "a continuation of nothing");
                messages.last_mut().unwrap().push_str(&text);
            }
            TEXT => messages.push(text),
            _ => {}
        }
        if header.opcode <= TEXT {
            is_open = !header.is_last;
        }
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    messages.iter().map(|message| restore(message)).collect()
}

fn restore(message: &str) -> String {
    let mut parts = message
        .split('"')
        .map(|part| event_name::original(part).into_owned());
    let first = parts.next().unwrap();
    parts.fold(first, |all, part| format!("{all}|{part}"))
}

#[test]
fn i11_09_a_name_is_rewritten_however_its_bytes_arrive() {
    let long = format!("42[1,\"{}\"]", "x".repeat(70_000));
    let packets = [
        "40",
        "42[1,\"a\"]",
        &long,
        "42[\"b\",1]",
        "421[\"\\\"\"]",
        "2",
        "",
    ];
    let bytes: Vec<u8> = packets
        .iter()
        .flat_map(|packet| frame(true, TEXT, packet))
        .collect();
    let expected: Vec<_> = [
        "40",
        "42[|1|,|a|]",
        &format!("42[|1|,|{}|]", "x".repeat(70_000)),
        "42[|b|,1]",
        "421[|\"|]",
        "2",
        "",
    ]
    .map(str::to_owned)
    .into();
    for piece in [1, 2, 3, 5, 7, 13, 64, 1000, 4096, bytes.len()] {
        assert_eq!(
            messages(&passed(&bytes, piece)),
            expected,
            "pieces of {piece}"
        );
    }
}

#[test]
fn i11_09_a_name_in_fragments_is_rewritten() {
    let text = "42/chat,7[12,\"x\"]";
    for first in 1..text.len() {
        for second in first..text.len() {
            let bytes = [
                frame(false, TEXT, &text[..first]),
                frame(false, CONTINUATION, &text[first..second]),
                frame(true, CONTINUATION, &text[second..]),
                frame(true, TEXT, "42[\"next\"]"),
            ]
            .concat();
            for piece in [1, 4, bytes.len()] {
                let messages = messages(&passed(&bytes, piece));
                let expected = ["42/chat,7[|12|,|x|]", "42[|next|]"];
                assert_eq!(messages, expected, "{first} {second} {piece}");
            }
        }
    }
}

#[test]
fn i11_09_control_frames_and_empty_fragments_do_not_hide_a_name() {
    let bytes = [
        frame(false, TEXT, ""),
        frame(true, PING, "p"),
        frame(false, CONTINUATION, "42["),
        frame(true, PONG, ""),
        frame(true, CONTINUATION, "1]"),
        frame(true, TEXT, "42[\"a\"]"),
    ]
    .concat();
    for piece in [1, 3, bytes.len()] {
        let got = passed(&bytes, piece);
        assert_eq!(messages(&got), ["42[|1|]", "42[|a|]"]);
        let pings = frame(true, PING, "p");
        assert!(got.windows(pings.len()).any(|part| part == pings));
    }
}

#[test]
fn other_frames_pass_byte_by_byte() {
    let fragments: Vec<_> = (0..20_000)
        .map(|_| frame(false, CONTINUATION, ""))
        .collect();
    let streams = [
        frame(true, BINARY, "42[1]"),
        frame(true, PING, "42[1]"),
        server_frame(TEXT, b"42[1]"),
        vec![0x81, 0xFF, 0xFF, 0xFF],
        [frame(false, TEXT, "42["), fragments.concat()].concat(),
        frame(true, TEXT, &format!("42[\"{}\\\"\"]", "n".repeat(2000))),
    ];
    for bytes in streams {
        for piece in [1, 50, bytes.len()] {
            assert_eq!(passed(&bytes, piece), bytes);
        }
    }
}

#[test]
fn a_frame_that_lies_about_its_length_is_left_to_the_library() {
    for size in [u64::MAX, u64::MAX >> 1, 1 << 40] {
        let mut bytes = Vec::new();
        write_header(&mut bytes, true, TEXT, Some([0; 4]), size);
        bytes.extend(b"42[1,");
        let got = passed(&bytes, bytes.len());
        let header = Header::read(&got).unwrap();
        assert!(header.payload >= size, "{header:?}");
    }
}

#[test]
fn i11_14_no_message_is_inserted_between_fragments() {
    let mut inbound = Inbound::new(Vec::new(), FirstPacket::any());
    let first = frame(false, TEXT, "40/chat,");
    assert_eq!(inbound.receive(&first), first.len());
    inbound.insert("3");
    assert!(inbound.ready().is_empty());
    let ping = frame(true, PING, "");
    assert_eq!(inbound.receive(&ping), ping.len());
    assert!(inbound.ready().is_empty());
    let last = frame(true, CONTINUATION, "");
    assert_eq!(inbound.receive(&last), last.len());
    assert_eq!(messages(inbound.ready()), ["3"]);
}

#[test]
fn i11_14_a_frame_is_inserted_between_frames_only() {
    let mut inbound = Inbound::new(Vec::new(), FirstPacket::any());
    let client = frame(true, TEXT, "42[\"a\",1234]");
    assert_eq!(inbound.receive(&client[..13]), 13);
    inbound.insert("3");
    assert!(inbound.ready().is_empty());
    assert_eq!(inbound.receive(&client[13..]), client.len() - 13);
    assert_eq!(messages(inbound.ready()), ["3"]);
}
