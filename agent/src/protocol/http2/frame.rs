//! Heads of HTTP/2 frames (RFC 9113, 4.1), and whether bytes can be one.
//!
//! In: nine bytes, and who sent them. Out: kind, flags, stream and length of the frame. Not
//! here: what a frame leads to (`conversation`).

use super::hpack::begins_request;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;
/// What a client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most bytes that a frame may have while nothing else was agreed on.
pub(super) const USUAL: u32 = 16 * 1024;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Push,
    Ping,
    GoAway,
    Window,
    Continuation,
    /// Of an extension: ignored.
    Other,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) len: u32,
}

impl Frame {
    pub(super) fn parse(head: [u8; HEAD]) -> Self {
        let [len2, len1, len0, kind, flags, id3, id2, id1, id0] = head;
        Self {
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Headers,
                2 => Kind::Priority,
                3 => Kind::Reset,
                4 => Kind::Settings,
                5 => Kind::Push,
                6 => Kind::Ping,
                7 => Kind::GoAway,
                8 => Kind::Window,
                9 => Kind::Continuation,
                _ => Kind::Other,
            },
            flags,
            stream: u32::from_be_bytes([id3 & 0x7f, id2, id1, id0]),
            len: u32::from_be_bytes([0, len2, len1, len0]),
        }
    }

    /// The head at the beginning of `bytes`.
    pub(super) fn first(bytes: &[u8]) -> Option<Self> {
        Some(Self::parse(*bytes.first_chunk()?))
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Could a peer send that? What a peer may never send shows that no frame begins here.
    pub(super) const fn is_sound(self) -> bool {
        let of_stream = self.stream != 0;
        let odd = self.stream % 2 == 1;
        match self.kind {
            Kind::Data => of_stream,
            Kind::Headers | Kind::Continuation => of_stream,
            Kind::Push => odd && self.len >= 4,
            Kind::Priority => of_stream && self.len == 5,
            Kind::Reset => of_stream && self.len == 4,
            Kind::Settings => {
                !of_stream && self.len.is_multiple_of(6) && (!self.has(ACK) || self.len == 0)
            }
            Kind::Ping => !of_stream && self.len == 8,
            Kind::GoAway => !of_stream && self.len >= 8,
            Kind::Window => self.len == 4,
            Kind::Other => true,
        }
    }

    /// Do frames of real peers look like that? Asked where a frame may begin by chance only, so
    /// what is rare is refused, too: unknown kinds and flags, frames of unusual size.
    pub(super) const fn is_likely(self, largest: u32) -> bool {
        let known = match self.kind {
            Kind::Data => END_STREAM | PADDED,
            Kind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Push => END_HEADERS | PADDED,
            Kind::Continuation => END_HEADERS,
            Kind::Priority | Kind::Reset | Kind::GoAway | Kind::Window => 0,
            Kind::Other => return false,
        };
        // No peer opens streams of even numbers: push is all but gone, and refused by clients.
        let even = self.stream.is_multiple_of(2) && self.stream != 0;
        let small = matches!(self.kind, Kind::Settings | Kind::GoAway) && self.len > 1024;
        self.is_sound() && self.flags & !known == 0 && self.len <= largest && !even && !small
    }
}

/// What bytes at the start of a call tell of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// They are no frames.
    No,
    /// All frames so far, but no request.
    Frames,
    /// Frames, and a request among them.
    Request,
}

/// Walks the frames at the start of a call on a connection that was not seen from its first
/// byte. The direction in which requests go is that of the first request.
pub(super) fn walk(mut bytes: &[u8]) -> Start {
    let mut found = Start::Frames;
    loop {
        let reserved = bytes.get(5).is_some_and(|byte| byte & 0x80 != 0);
        // The length's first bytes tell most other protocols from this one.
        let long = matches!(bytes, [1..=0xff, ..] | [_, 0x41..=0xff, ..]);
        if long || bytes.get(3).is_some_and(|kind| *kind > 9) {
            return Start::No;
        }
        let Some(frame) = Frame::first(bytes) else {
            return found;
        };
        if reserved || !frame.is_likely(USUAL) {
            return Start::No;
        }
        let rest = bytes.get(HEAD..).unwrap_or(b"");
        let len = frame.len as usize;
        let payload = rest.get(..len).unwrap_or(rest);
        if frame.kind == Kind::Headers && begins_request(frame, payload) {
            found = Start::Request;
        }
        match rest.get(len..) {
            Some(rest) => bytes = rest,
            None => return found,
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
