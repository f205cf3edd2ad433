//! Messages in a body: a byte of flags, a length of four bytes, and so many bytes.
//!
//! In: bytes of a body in order, and how many were not seen. Out: how many messages there were,
//! and the bytes of those that are not data. Memory: five bytes, and three of base64.

/// Bytes before a message.
const HEAD: usize = 5;
/// Flag of a message that is compressed.
pub(super) const COMPRESSED: u8 = 0x01;
/// Flags of a message that is no data: gRPC-Web's trailers, Connect's end.
pub(super) const TRAILERS: u8 = 0x80;
pub(super) const END: u8 = 0x02;

/// Messages of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    head: [u8; HEAD],
    /// Bytes of it that are there.
    have: usize,
    /// Bytes of the message that are still to come.
    left: u64,
    count: u64,
    /// Where messages begin is known.
    exact: bool,
    /// The body is base64: letters that do not make three bytes yet, and how many.
    text: Option<(u32, u32)>,
}

impl Messages {
    pub(super) const fn new(text: bool) -> Self {
        Self {
            head: [0; HEAD],
            have: 0,
            left: 0,
            count: 0,
            exact: true,
            text: if text { Some((0, 0)) } else { None },
        }
    }

    /// Whole messages of data; `None` when they could not be counted.
    pub(super) fn count(&self) -> Option<u64> {
        self.exact.then_some(self.count)
    }

    /// Takes bytes; `other` gets the flags and bytes of messages that are no data.
    pub(super) fn feed(&mut self, bytes: &[u8], mut other: impl FnMut(u8, &[u8])) {
        if self.text.is_none() {
            return self.take(bytes, &mut other);
        }
        for letter in bytes {
            let (plain, len) = self.letter(*letter);
            self.take(plain.get(..len).unwrap_or(&plain), &mut other);
        }
    }

    /// So many bytes were not seen.
    pub(super) fn skip(&mut self, bytes: u64) {
        let bridged = self.have == HEAD && bytes <= self.left && self.text.is_none();
        let no_data = self.head.first().is_some_and(|flags| is_other(*flags));
        if !bridged || no_data {
            self.exact = false;
            return;
        }
        self.left -= bytes;
        self.finish();
    }

    fn take(&mut self, mut bytes: &[u8], other: &mut impl FnMut(u8, &[u8])) {
        while self.exact && !bytes.is_empty() {
            if let Some(place) = self.head.get_mut(self.have) {
                let (first, rest) = bytes.split_at(1);
                *place = first.first().copied().unwrap_or_default();
                self.have += 1;
                bytes = rest;
                if self.have == HEAD {
                    let [_, len3, len2, len1, len0] = self.head;
                    self.left = u64::from(u32::from_be_bytes([len3, len2, len1, len0]));
                    self.begin(other);
                }
                continue;
            }
            let taken = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let (part, rest) = bytes.split_at(taken);
            let [flags, ..] = self.head;
            if is_other(flags) {
                other(flags, part);
            }
            self.left -= taken as u64;
            bytes = rest;
            self.finish();
        }
    }

    /// The head of a message is there.
    fn begin(&mut self, other: &mut impl FnMut(u8, &[u8])) {
        let [flags, ..] = self.head;
        // There are no other flags.
        if flags & !(TRAILERS | END | COMPRESSED) != 0 {
            self.exact = false;
            return;
        }
        if is_other(flags) {
            other(flags, b"");
        }
        self.finish();
    }

    fn finish(&mut self) {
        if self.left == 0 && self.have == HEAD {
            let [flags, ..] = self.head;
            self.count = self.count.saturating_add(u64::from(!is_other(flags)));
            self.have = 0;
        }
    }

    /// A letter of base64: bytes that are whole now. Each piece of the body is padded by itself.
    fn letter(&mut self, letter: u8) -> ([u8; 3], usize) {
        let Some((bits, have)) = &mut self.text else {
            return ([0; 3], 0);
        };
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                // Two letters make one byte, three make two.
                let len = match *have {
                    2 => 1,
                    3 => 2,
                    _ => 0,
                };
                let [_, one, two, three] = (*bits << (6 * (4 - (*have).min(4)))).to_be_bytes();
                (*bits, *have) = (0, 0);
                return ([one, two, three], len);
            }
            _ => {
                self.exact = false;
                return ([0; 3], 0);
            }
        };
        *bits = *bits << 6 | u32::from(value);
        *have += 1;
        if *have < 4 {
            return ([0; 3], 0);
        }
        let [_, one, two, three] = bits.to_be_bytes();
        (*bits, *have) = (0, 0);
        ([one, two, three], 3)
    }
}

const fn is_other(flags: u8) -> bool {
    flags & (TRAILERS | END) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes`, whole and byte by byte: the number of messages, and what was no data.
    fn check(text: bool, bytes: &[u8], expected: Option<u64>, other: &str) {
        for width in [bytes.len().max(1), 1] {
            let mut messages = Messages::new(text);
            let mut found = Vec::new();
            for part in bytes.chunks(width) {
                messages.feed(part, |flags, bytes| {
                    assert!(is_other(flags));
                    found.extend(bytes);
                });
            }
            assert_eq!(messages.count(), expected, "{}", bytes.escape_ascii());
            assert_eq!(found.escape_ascii().to_string(), other);
        }
    }

    #[test]
    fn messages_are_counted() {
        check(false, b"", Some(0), "");
        check(false, b"\0\0\0\0\0", Some(1), "");
        check(false, b"\0\0\0\0\x03abc\x01\0\0\0\x02de", Some(2), "");
        // The last one is not whole.
        check(false, b"\0\0\0\0\x03abc\0\0\0\0\x02d", Some(1), "");
        check(false, b"\0\0\0\0\x03abc\x80\0\0\0\x02ok", Some(1), "ok");
        check(false, b"\x02\0\0\0\x02{}", Some(0), "{}");
        check(false, b"HTTP/1.1 200 OK", None, "");
    }

    #[test]
    fn base64() {
        // Two messages of three bytes, each piece padded by itself, then trailers.
        check(true, b"AAAAAANhYmM=AAAAAANhYmM=gAAAAAJvaw==", Some(2), "ok");
        check(true, b"AAAAAANhYmM", Some(0), "");
        check(true, b"AAAA*", None, "");
    }

    #[test]
    fn what_was_not_seen() {
        let mut messages = Messages::new(false);
        messages.feed(b"\0\0\0\x10\0abc", |_, _| {});
        messages.skip(0x1000 - 3);
        assert_eq!(messages.count(), Some(1));
        messages.feed(b"\0\0\0\0\x04ab", |_, _| {});
        messages.skip(3);
        assert_eq!(messages.count(), None);
        messages.feed(b"\0\0\0\0\0", |_, _| {});
        assert_eq!(messages.count(), None);
    }
}
