//! The bytes of a client on their way to the library: websocket frames whose packets the library cannot read are
//! rewritten, and all others pass as they are.

use super::event_name::{self, MAX_HEAD, REFUSED, Verdict};
use super::first_packet::FirstPacket;
use super::frame::{
    BINARY, CLOSE, CONTINUATION, Header, MaskKey, TEXT, apply_mask, client_text_frame, moved_key,
    write_header,
};

/// The largest number of bytes of a message that are held back until its beginning is complete. A message may come in
/// very many frames.
const MAX_HELD: usize = 4 * MAX_HEAD;
/// The largest payload that a frame can have (RFC 6455, 5.2).
const MAX_PAYLOAD: u64 = u64::MAX >> 1;
/// Bytes of a message by which most messages are judged.
const START: usize = 64;

/// Watches the frames of one client.
pub(super) struct Inbound {
    /// Bytes that the library gets before any that come later.
    ready: Vec<u8>,
    /// Bytes of `ready` that the library has got.
    taken: usize,
    /// The beginning of a frame that cannot be judged yet.
    held: Vec<u8>,
    /// Bytes of the current frame that are still to come and pass as they are.
    passing: u64,
    /// Frames to insert before the next message of the client.
    inserted: Vec<u8>,
    /// True between the fragments of a message, where no other message may stand.
    is_message_open: bool,
    first_packet: FirstPacket,
}

/// What is done with the frame at the beginning of some bytes.
enum Judgement {
    /// More bytes are needed.
    Incomplete,
    /// As many bytes pass as they are.
    Pass(u64),
    /// `taken` bytes are replaced, and `passing` bytes after them pass as they are.
    Replace {
        taken: usize,
        with: Vec<u8>,
        passing: u64,
    },
}

impl Inbound {
    /// Makes the watch of a connection. `ready` are bytes that the library gets first.
    pub(super) fn new(ready: Vec<u8>, first_packet: FirstPacket) -> Self {
        Self {
            ready,
            taken: 0,
            held: Vec::new(),
            passing: 0,
            inserted: Vec::new(),
            is_message_open: false,
            first_packet,
        }
    }

    /// Inserts a text frame before the next message of the client.
    pub(super) fn insert(&mut self, text: &str) {
        self.inserted.extend(client_text_frame(text));
    }

    /// Returns the bytes that the library gets next; empty if there are none.
    pub(super) fn ready(&mut self) -> &[u8] {
        if !self.inserted.is_empty() && self.is_between_messages() {
            self.ready.append(&mut self.inserted);
        }
        &self.ready[self.taken..]
    }

    /// Notes that the library got `count` bytes of those that are ready.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
    }

    fn is_between_messages(&self) -> bool {
        let is_between_frames = self.passing == 0 && self.held.is_empty() && self.ready.is_empty();
        is_between_frames && !self.is_message_open
    }

    /// Notes a frame that the library gets.
    fn note(&mut self, frame: &[u8]) {
        if let Some(header) = Header::read(frame).filter(|header| header.opcode <= BINARY) {
            self.is_message_open = !header.is_last;
        }
    }

    /// Returns true if received bytes may be passed to the library without a copy.
    pub(super) fn is_direct(&self) -> bool {
        self.held.is_empty()
    }

    /// Looks at bytes that were received, and returns how many of them pass as they are. The rest is held.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> usize {
        let passed = self.pass(bytes);
        if passed < bytes.len() {
            self.receive_held(&bytes[passed..]);
        }
        passed
    }

    /// Adds received bytes to those that are held, and makes ready what can be judged.
    pub(super) fn receive_held(&mut self, bytes: &[u8]) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let passed = self.pass(&held[at..]);
            self.ready.extend_from_slice(&held[at..at + passed]);
            at += passed;
            match judge(&held[at..], &mut self.first_packet) {
                Judgement::Replace {
                    taken,
                    with,
                    passing,
                } => {
                    self.note(&with);
                    self.ready.extend(with);
                    self.passing = passing;
                    at += taken;
                }
                // What passes was passed above.
                Judgement::Incomplete | Judgement::Pass(_) => break,
            }
        }
        held.drain(..at);
        self.held = held;
    }

    /// Makes everything ready that is held, because nothing will follow.
    pub(super) fn finish(&mut self) {
        self.ready.append(&mut self.held);
    }

    /// Returns how many bytes at the beginning of `bytes` pass as they are.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = bytes.len() - at;
            let passed = usize::try_from(self.passing).map_or(rest, |passing| passing.min(rest));
            at += passed;
            self.passing -= passed as u64;
            if at == bytes.len() {
                return at;
            }
            match judge(&bytes[at..], &mut self.first_packet) {
                Judgement::Pass(count) => {
                    self.note(&bytes[at..]);
                    self.passing = count;
                }
                Judgement::Incomplete | Judgement::Replace { .. } => return at,
            }
        }
    }
}

/// Decides what is done with the frame at the beginning of `bytes`.
fn judge(bytes: &[u8], first_packet: &mut FirstPacket) -> Judgement {
    let Some(header) = Header::read(bytes) else {
        return Judgement::Incomplete;
    };
    // Each is a protocol error, for which the library closes the connection.
    let Some(key) = header.mask.filter(|_| header.payload <= MAX_PAYLOAD) else {
        return Judgement::Pass(u64::MAX);
    };
    if header.opcode == BINARY {
        first_packet.binary();
    }
    let is_empty = header.is_last && header.payload == 0;
    if header.opcode != TEXT || header.is_extended() || is_empty {
        return Judgement::Pass(header.frame());
    }
    let mut start = [0; START];
    let payload = &bytes[header.size..];
    let size = usize::try_from(header.payload).map_or(START, |payload| payload.min(START));
    let start = &mut start[..size.min(payload.len())];
    start.copy_from_slice(&payload[..start.len()]);
    apply_mask(start, key);
    let is_complete = header.payload == start.len() as u64;
    if is_complete && start.len() < 2 && !header.is_last {
        first_packet.pass();
    } else if is_complete || start.len() > 1 {
        first_packet.text(start);
    }
    match event_name::inspect(start) {
        Verdict::Pass => Judgement::Pass(header.frame()),
        _ => judge_event(bytes),
    }
}

/// Decides what is done with a message that may be an event.
fn judge_event(bytes: &[u8]) -> Judgement {
    let mut beginning = Beginning::default();
    loop {
        let Some(header) = Header::read(&bytes[beginning.taken..]) else {
            return hold(bytes);
        };
        if beginning.taken > 0 && header.opcode >= CLOSE {
            if !beginning.skip(bytes, &header) {
                return hold(bytes);
            }
            continue;
        }
        let is_continued = header.opcode == CONTINUATION && !header.is_extended();
        let is_continued = beginning.taken == 0 || is_continued;
        let Some(key) = header.mask.filter(|_| is_continued) else {
            return pass_frame(bytes);
        };
        let of_last = beginning.add(&bytes[beginning.taken..], &header, key);
        let passing = header.payload - of_last as u64;
        match event_name::inspect(&beginning.payload) {
            Verdict::Pass => return pass_frame(bytes),
            Verdict::Refuse => {
                return Judgement::Replace {
                    taken: beginning.taken,
                    with: [beginning.controls, client_text_frame(REFUSED)].concat(),
                    passing,
                };
            }
            Verdict::Replace(range, name) => {
                beginning.payload.splice(range, name.bytes());
                let frame = beginning.frame(&header, of_last, key);
                return Judgement::Replace {
                    taken: beginning.taken,
                    with: [beginning.controls, frame].concat(),
                    passing,
                };
            }
            Verdict::Incomplete if passing > 0 => return hold(bytes),
            Verdict::Incomplete if header.is_last => return pass_frame(bytes),
            Verdict::Incomplete => {}
        }
    }
}

/// The beginning of a message, from one frame or several.
#[derive(Default)]
struct Beginning {
    payload: Vec<u8>,
    /// Bytes of the frames that the payload was taken from, and of control frames between them.
    taken: usize,
    /// Control frames that came between fragments. They may come before the message as well (RFC 6455, 5.4).
    controls: Vec<u8>,
}

impl Beginning {
    /// Takes a control frame out of the fragments. Returns false if the frame has not arrived yet.
    fn skip(&mut self, bytes: &[u8], header: &Header) -> bool {
        let size = usize::try_from(header.frame()).unwrap_or(usize::MAX);
        let end = self.taken.saturating_add(size);
        let Some(frame) = bytes.get(self.taken..end) else {
            return false;
        };
        self.controls.extend_from_slice(frame);
        self.taken = end;
        true
    }

    /// Adds what has arrived of the payload of a frame, and returns how many bytes that is.
    fn add(&mut self, frame: &[u8], header: &Header, key: MaskKey) -> usize {
        let arrived = &frame[header.size..];
        let most = usize::try_from(header.payload).unwrap_or(MAX_HEAD);
        let count = arrived.len().min(most).min(MAX_HEAD);
        let start = self.payload.len();
        self.payload.extend_from_slice(&arrived[..count]);
        apply_mask(&mut self.payload[start..], key);
        self.taken += header.size + count;
        count
    }

    /// Returns the start of one frame in the place of all that were taken. The rest of the last frame, of which
    /// `of_last` bytes were taken, can follow as it is.
    fn frame(&self, last: &Header, of_last: usize, key: MaskKey) -> Vec<u8> {
        let key = moved_key(key, of_last, self.payload.len());
        let rest = last.payload - of_last as u64;
        let size = rest.saturating_add(self.payload.len() as u64);
        let mut frame = Vec::with_capacity(self.payload.len() + 14);
        write_header(&mut frame, last.is_last, TEXT, Some(key), size);
        let start = frame.len();
        frame.extend_from_slice(&self.payload);
        apply_mask(&mut frame[start..], key);
        frame
    }
}

/// Waits for more bytes, unless too many are held already.
fn hold(bytes: &[u8]) -> Judgement {
    if bytes.len() < MAX_HELD {
        return Judgement::Incomplete;
    }
    pass_frame(bytes)
}

/// Passes the first frame of `bytes` as it is.
fn pass_frame(bytes: &[u8]) -> Judgement {
    Header::read(bytes).map_or(Judgement::Incomplete, |header| {
        Judgement::Pass(header.frame())
    })
}

#[cfg(test)]
mod tests {
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
}
