//! The bytes of one message between nodes: a header, a body, and a code that only nodes with the same secret can make.
//!
//! ```text
//! "HY" · track u8 · origin 12 bytes · number u64, big endian · body · code 16 bytes
//! ```

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The first bytes of every frame.
const MAGIC: &[u8; 2] = b"HY";
/// The version of the form. Nodes of another track do not understand each other.
const TRACK: u8 = 1;
/// Bytes of the name of a node's start.
const ORIGIN: usize = 12;
/// Bytes before the body.
const HEADER: usize = MAGIC.len() + 1 + ORIGIN + 8;
/// Bytes of the code.
const CODE: usize = 16;

/// One start of one node: random bytes that no other start has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(pub(super) [u8; ORIGIN]);

impl Origin {
    /// Makes the name of this start.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; ORIGIN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The reason for which a frame is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is larger than this node takes.
    Size,
    /// It is not a frame, or its body is not a message.
    Form,
    /// It is of another version of the form.
    Track,
    /// Its code is wrong: it was made with another secret, or changed.
    Code,
    /// It came before, or is older than one that came.
    Repeated,
    /// It says what no node may say: a reserved namespace or event, a payload that clients could not read.
    Content,
}

impl Refused {
    pub(super) const ALL: [Self; 6] = [
        Self::Size,
        Self::Form,
        Self::Track,
        Self::Code,
        Self::Repeated,
        Self::Content,
    ];

    /// Returns the word of the metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Form => "form",
            Self::Track => "version",
            Self::Code => "code",
            Self::Repeated => "repeated",
            Self::Content => "content",
        }
    }

    /// Returns the reason as the end of a sentence.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Size => {
                "it is too large (server.body-limit, which should be the same on all nodes)"
            }
            Self::Form => "it is not a message of a node",
            Self::Track => "it is of another version of Hitchy",
            Self::Code => {
                "it was made with another secret, or by a stranger: cluster.secret or, without it, cluster.password has to be the same on all nodes"
            }
            Self::Repeated => "it came twice, or too late",
            Self::Content => "no handler could have sent it",
        }
    }
}

/// A frame whose code is right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) origin: Origin,
    pub(super) number: u64,
    pub(super) body: &'a [u8],
}

/// The key of the codes of a cluster.
#[derive(Clone)]
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    /// Makes the key from what the nodes of a cluster have in common.
    pub(super) fn new(prefix: &str, secret: &str) -> Self {
        let mut key = Sha256::new_with_prefix("hitchy cluster 1");
        for part in [prefix, secret] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key.finalize());
        Self(mac.expect("HMAC takes keys of every length"))
    }

    /// Completes a frame that [`begin`] began and that has its body.
    pub(super) fn close(&self, frame: &mut Vec<u8>) {
        let code = self.0.clone().chain_update(&frame).finalize().into_bytes();
        frame.extend(&code[..CODE]);
    }

    /// Takes a frame apart.
    ///
    /// # Errors
    /// It is not a frame of this cluster.
    pub(super) fn open<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, Refused> {
        let (content, code) = bytes.split_last_chunk::<CODE>().ok_or(Refused::Form)?;
        let rest = content.strip_prefix(MAGIC).ok_or(Refused::Form)?;
        let (track, rest) = rest.split_first().ok_or(Refused::Form)?;
        if *track != TRACK {
            return Err(Refused::Track);
        }
        let (origin, rest) = rest.split_first_chunk::<ORIGIN>().ok_or(Refused::Form)?;
        let (number, body) = rest.split_first_chunk::<8>().ok_or(Refused::Form)?;
        let mac = self.0.clone().chain_update(content);
        mac.verify_truncated_left(code).map_err(|_| Refused::Code)?;
        Ok(Frame {
            origin: Origin(*origin),
            number: u64::from_be_bytes(*number),
            body,
        })
    }
}

/// Begins a frame. Its number is written by [`set_number`].
pub(super) fn begin(origin: Origin) -> Vec<u8> {
    let mut frame = Vec::with_capacity(256);
    frame.extend(MAGIC);
    frame.push(TRACK);
    frame.extend(origin.0);
    frame.extend([0; 8]);
    frame
}

/// Writes the number of a frame that [`begin`] began.
pub(super) fn set_number(frame: &mut [u8], number: u64) {
    frame[HEADER - 8..HEADER].copy_from_slice(&number.to_be_bytes());
}

/// Returns the number of a frame of this node.
pub(super) fn number(frame: &[u8]) -> u64 {
    let number = frame.get(HEADER - 8..HEADER);
    let number = number.and_then(|bytes| bytes.try_into().ok());
    number.map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Origin = Origin([1; ORIGIN]);

    fn framed(seal: &Seal, number: u64, body: &[u8]) -> Vec<u8> {
        let mut frame = begin(OTHER);
        frame.extend(body);
        set_number(&mut frame, number);
        seal.close(&mut frame);
        frame
    }

    #[test]
    fn a_frame_comes_as_it_was_sent() {
        let seal = Seal::new("hitchy", "secret");
        for body in [&b""[..], b"x", &[7; 100_000]] {
            let bytes = framed(&seal, u64::MAX - 3, body);
            let frame = seal.open(&bytes).expect("it is one");
            assert_eq!(
                (frame.origin, frame.number, frame.body),
                (OTHER, u64::MAX - 3, body)
            );
        }
    }

    #[test]
    fn r15_a_frame_with_another_secret_or_prefix_is_refused() {
        let bytes = framed(&Seal::new("hitchy", "secret"), 1, b"body");
        for (prefix, secret) in [("hitchy", "secreT"), ("hitchys", "ecret"), ("hitchy", "")] {
            let refused = Seal::new(prefix, secret).open(&bytes);
            assert_eq!(refused, Err(Refused::Code));
        }
    }

    #[test]
    fn r15_every_changed_bit_and_every_cut_is_refused() {
        let seal = Seal::new("hitchy", "secret");
        let bytes = framed(&seal, 5, b"some body");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(&changed).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(seal.open(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut newer = bytes.clone();
        newer[2] += 1;
        assert_eq!(seal.open(&newer), Err(Refused::Track));
    }
}
