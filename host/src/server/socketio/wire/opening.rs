//! The first frames of the library on their way to a client, of which some are replaced or left out.

use super::frame::{Header, TEXT, server_frame};

/// The packets of the library that are still expected.
enum Expected {
    /// The packet that opens a session, in whose place another is sent.
    Open(String),
    /// The library (engineioxide 0.17.9) sends its first ping at once and not after `ping-interval`.
    FirstPing,
    /// The answer to the probe of an upgrade, which the client has got already.
    Probe,
    Nothing,
}

/// What becomes of the first bytes that the library writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// As many bytes are sent as they are.
    Send(usize),
    /// As many bytes are left out.
    Omit(usize),
    /// As many bytes are left out, and the library gets a pong in answer.
    Answer(usize),
}

/// Watches the first frames of the library.
pub(super) struct Opening {
    expected: Expected,
    /// Bytes of the current frame that the library has not written yet.
    passing: u64,
    /// Bytes to send before any that the library writes later.
    unsent: Vec<u8>,
}

impl Opening {
    /// Makes the watch of a new session, whose client gets the packet `open`.
    pub(super) fn of_new_session(open: String) -> Self {
        Self::expecting(Expected::Open(open))
    }

    /// Makes the watch of a session that moves from polling, whose client has got the answer to its probe.
    pub(super) fn of_upgrade() -> Self {
        Self::expecting(Expected::Probe)
    }

    fn expecting(expected: Expected) -> Self {
        Self {
            expected,
            passing: 0,
            unsent: Vec::new(),
        }
    }

    /// Returns true if all bytes are sent as they are from now on.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.expected, Expected::Nothing) && self.passing == 0 && self.unsent.is_empty()
    }

    /// Returns the bytes that have to be sent before others.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.unsent
    }

    /// Notes that `count` of the unsent bytes were sent.
    pub(super) fn sent_own(&mut self, count: usize) {
        self.unsent.drain(..count);
    }

    /// Notes that `count` bytes of the library were sent as they are.
    pub(super) fn sent(&mut self, count: usize) {
        self.passing = self.passing.saturating_sub(count as u64);
    }

    /// Decides about the first of the bytes that the library writes, which are whole frames unless a frame was begun.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Fate {
        if self.passing > 0 {
            let most = usize::try_from(self.passing).unwrap_or(usize::MAX);
            return Fate::Send(bytes.len().min(most));
        }
        if matches!(self.expected, Expected::Nothing) {
            return Fate::Send(bytes.len());
        }
        let Some(header) = Header::read(bytes) else {
            self.expected = Expected::Nothing;
            return Fate::Send(bytes.len());
        };
        let end = usize::try_from(header.frame()).unwrap_or(usize::MAX);
        let payload = bytes
            .get(header.size..end)
            .filter(|_| header.opcode == TEXT);
        let fate = payload.and_then(|payload| self.judge_packet(payload, end));
        fate.unwrap_or_else(|| {
            self.passing = header.frame();
            Fate::Send(bytes.len().min(end))
        })
    }

    /// Decides about a packet in a frame of `end` bytes; none if it is not the one that is expected.
    fn judge_packet(&mut self, packet: &[u8], end: usize) -> Option<Fate> {
        match (&self.expected, packet) {
            (Expected::Open(open), [b'0', ..]) => {
                self.unsent.extend(server_frame(TEXT, open.as_bytes()));
                self.expected = Expected::FirstPing;
                Some(Fate::Omit(end))
            }
            (Expected::FirstPing, b"2") => {
                self.expected = Expected::Nothing;
                Some(Fate::Answer(end))
            }
            (Expected::Probe, b"3probe") => {
                self.expected = Expected::Nothing;
                Some(Fate::Omit(end))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::BINARY;
    use super::*;

    #[test]
    fn i11_14_the_open_packet_is_replaced_and_the_first_ping_left_out() {
        let mut opening = Opening::of_new_session("0{}".to_owned());
        let open = server_frame(TEXT, b"0{\"sid\":\"x\"}");
        assert_eq!(opening.judge(&open), Fate::Omit(open.len()));
        assert_eq!(opening.unsent(), server_frame(TEXT, b"0{}"));
        opening.sent_own(5);
        // Packets may come before the ping, and a write may take only a part of one.
        let (first, ping) = (server_frame(BINARY, &[b'2'; 300]), server_frame(TEXT, b"2"));
        let all = [first.clone(), ping.clone(), ping.clone()].concat();
        assert_eq!(opening.judge(&all), Fate::Send(first.len()));
        opening.sent(100);
        assert_eq!(opening.judge(&all[100..]), Fate::Send(first.len() - 100));
        opening.sent(first.len() - 100);
        let rest = &all[first.len()..];
        assert_eq!(opening.judge(rest), Fate::Answer(ping.len()));
        assert!(opening.is_done());
        assert_eq!(opening.judge(&ping), Fate::Send(ping.len()));
    }
}
