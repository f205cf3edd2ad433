//! Heads of WebSocket frames (RFC 6455, 5.2).
//!
//! In: bytes at the start of a frame. Out: what kind of frame it is and how long, and the code of
//! a close frame. Stateless. Not here: payloads, which are never read beyond that code.

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first or only frame of a message.
    Message,
    /// One more frame of the message.
    More,
    /// Ping and pong.
    Control,
    /// The end, with its code if it has one.
    Close(Option<u16>),
}

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// It is the last of its message.
    pub(super) last: bool,
    /// Bytes of the head itself.
    pub(super) len: usize,
    /// Bytes behind the head.
    pub(super) payload: u64,
}

/// What the bytes at the start of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Head(Head),
    /// More bytes are needed, at most [`LONGEST`] in all.
    Partial,
    /// No frame begins here.
    Bad,
}

/// Longest head, with the code of a close frame, whose head is short.
#[cfg(test)]
pub(super) const LONGEST: usize = 14;

/// Longest payload of a control frame.
const CONTROL: u64 = 125;

/// Reads the head of a frame. `masked`: it comes from a client, which must mask, as a server must
/// not. `extended`: an extension was agreed on, which may use the reserved bits.
pub(super) fn head(bytes: &[u8], masked: bool, extended: bool) -> Found {
    let [first, second, rest @ ..] = bytes else {
        return Found::Partial;
    };
    if (first & 0x70 != 0 && !extended) || (second & 0x80 != 0) != masked {
        return Found::Bad;
    }
    let (wide, payload) = match second & 0x7f {
        126 => match rest {
            [a, b, ..] => (2, u64::from(u16::from_be_bytes([*a, *b]))),
            _ => return Found::Partial,
        },
        127 => match rest.first_chunk() {
            Some(eight) => (8, u64::from_be_bytes(*eight)),
            None => return Found::Partial,
        },
        short => (0, u64::from(short)),
    };
    // The shortest form must be used, and 63 bits at most.
    let least = [0, 126, 0x1_0000][usize::from(wide > 0) + usize::from(wide > 2)];
    if payload < least || payload > u64::MAX >> 1 {
        return Found::Bad;
    }
    let key = rest.get(wide..).unwrap_or(b"");
    let mask = if masked { 4 } else { 0 };
    let Some(content) = key.get(mask..) else {
        return Found::Partial;
    };
    let last = first & 0x80 != 0;
    let kind = match first & 0xf {
        0 => Kind::More,
        1 | 2 => Kind::Message,
        8..=10 if !last || payload > CONTROL => return Found::Bad,
        8 if payload == 1 => return Found::Bad,
        8 if payload == 0 => Kind::Close(None),
        8 => match (content, key) {
            ([a, b, ..], [x, y, ..]) if masked => {
                Kind::Close(Some(u16::from_be_bytes([a ^ x, b ^ y])))
            }
            ([a, b, ..], _) => Kind::Close(Some(u16::from_be_bytes([*a, *b]))),
            _ => return Found::Partial,
        },
        9 | 10 => Kind::Control,
        _ => return Found::Bad,
    };
    Found::Head(Head {
        kind,
        last,
        len: 2 + wide + mask,
        payload,
    })
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
