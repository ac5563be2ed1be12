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
mod tests;
