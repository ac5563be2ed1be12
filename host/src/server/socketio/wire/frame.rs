//! The headers of websocket frames (RFC 6455, 5.2).

/// The opcode of a frame that continues a fragmented message.
pub(in crate::server::socketio) const CONTINUATION: u8 = 0;
/// The opcode of a text frame.
pub(in crate::server::socketio) const TEXT: u8 = 1;
/// The opcode of a binary frame.
pub(in crate::server::socketio) const BINARY: u8 = 2;
/// The opcode of a frame that closes the connection.
pub(in crate::server::socketio) const CLOSE: u8 = 8;
/// The opcode of a ping.
pub(in crate::server::socketio) const PING: u8 = 9;
/// The opcode of a pong.
pub(in crate::server::socketio) const PONG: u8 = 10;

/// The bit of the first byte that marks the last frame of a message.
const FIN: u8 = 0x80;
/// The bit of the second byte that marks a masked payload.
const MASKED: u8 = 0x80;

/// A key that masks a payload: byte `i` of the payload is combined with byte `i % 4` of the key.
pub(in crate::server::socketio) type MaskKey = [u8; 4];

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::socketio) struct Header {
    /// True if this is the last frame of its message.
    pub(in crate::server::socketio) is_last: bool,
    pub(in crate::server::socketio) opcode: u8,
    /// The reserved bits of the first byte, at their place.
    reserved: u8,
    /// The key of a client's frame; none for a frame of the server.
    pub(in crate::server::socketio) mask: Option<MaskKey>,
    /// Bytes of the header as it was sent.
    pub(in crate::server::socketio) size: usize,
    /// Bytes of the payload.
    pub(in crate::server::socketio) payload: u64,
}

impl Header {
    /// Reads the header at the start of `bytes`; none if it is not complete.
    pub(in crate::server::socketio) fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (payload, mask_at) = match second & !MASKED {
            126 => (
                u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
                4,
            ),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let is_masked = second & MASKED != 0;
        let mask = if is_masked {
            Some(bytes.get(mask_at..mask_at + 4)?.try_into().ok()?)
        } else {
            None
        };
        Some(Self {
            is_last: first & FIN != 0,
            opcode: first & 0x0F,
            reserved: first & 0x70,
            mask,
            size: if is_masked { mask_at + 4 } else { mask_at },
            payload,
        })
    }

    /// Returns the bytes of the whole frame.
    pub(in crate::server::socketio) fn frame(&self) -> u64 {
        self.payload.saturating_add(self.size as u64)
    }

    /// Returns true for a frame of an extension, which only the owner of the connection understands.
    pub(in crate::server::socketio) fn is_extended(&self) -> bool {
        self.reserved != 0
    }
}

/// Appends the header of a frame to `bytes`.
pub(in crate::server::socketio) fn write_header(
    bytes: &mut Vec<u8>,
    is_last: bool,
    opcode: u8,
    mask: Option<MaskKey>,
    payload: u64,
) {
    bytes.push(opcode | if is_last { FIN } else { 0 });
    let masked = if mask.is_some() { MASKED } else { 0 };
    if payload < 126 {
        bytes.push(masked | payload as u8);
    } else if let Ok(payload) = u16::try_from(payload) {
        bytes.push(masked | 126);
        bytes.extend(payload.to_be_bytes());
    } else {
        bytes.push(masked | 127);
        bytes.extend(payload.to_be_bytes());
    }
    bytes.extend(mask.into_iter().flatten());
}

/// Returns a complete frame of the server, which is not masked.
pub(in crate::server::socketio) fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    write_header(&mut bytes, true, opcode, None, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

/// Returns a complete text frame as a client sends it. The key of its mask is zero.
pub(in crate::server::socketio) fn client_text_frame(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 14);
    let mask = Some([0; 4]);
    write_header(&mut bytes, true, TEXT, mask, text.len() as u64);
    bytes.extend(text.as_bytes());
    bytes
}

/// Masks or unmasks `bytes`, which begin at the start of a payload.
pub(in crate::server::socketio) fn apply_mask(bytes: &mut [u8], key: MaskKey) {
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Returns the key under which bytes that were masked for the place `from` of a payload are right at the place `to`.
pub(in crate::server::socketio) fn moved_key(key: MaskKey, from: usize, to: usize) -> MaskKey {
    let mut moved = [0; 4];
    for step in 0..4 {
        moved[(to + step) % 4] = key[(from + step) % 4];
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for payload in [0, 1, 125, 126, 65_535, 65_536, u64::MAX] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut bytes = Vec::new();
                write_header(&mut bytes, payload % 2 == 0, TEXT, mask, payload);
                let header = Header::read(&bytes).unwrap();
                assert_eq!(
                    (header.opcode, header.payload, header.mask),
                    (TEXT, payload, mask)
                );
                assert_eq!(
                    (header.is_last, header.size),
                    (payload % 2 == 0, bytes.len())
                );
                for end in 0..bytes.len() {
                    assert_eq!(Header::read(&bytes[..end]), None, "{payload} {end}");
                }
            }
        }
    }

    #[test]
    fn a_key_can_be_moved_with_its_bytes() {
        let key = [1, 2, 3, 4];
        for from in 0..8 {
            for to in 0..8 {
                let mut masked = [0; 24];
                apply_mask(&mut masked, key);
                let rest = &masked[from..];
                let mut at_to = [0; 32];
                apply_mask(&mut at_to, moved_key(key, from, to));
                assert_eq!(rest[..16], at_to[to..to + 16], "{from} {to}");
            }
        }
    }
}
