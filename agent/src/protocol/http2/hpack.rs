//! HPACK (RFC 7541): a decoder that may come late and miss bytes.
//!
//! In: pieces of a field block. Out: its fields, each known or marked as unknown. Takes any
//! bytes: integers, names and values are bounded, a reference costs no more than its value.
//! Not here: what fields mean (`section`), frames.

use super::frame::{Frame, PADDED, PRIORITY};
use super::huffman;
use super::table::{Found, LONGEST, Table, name};
use crate::protocol::http::field::Name;

/// Longest name that can matter, bytes.
const LONGEST_NAME: usize = 32;
/// Largest integer, more than any length or index of a sane peer.
const MOST: usize = 1 << 28;

/// A field of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Name and value; the value is empty when the name does not matter.
    Known(Name, &'a [u8]),
    /// Its name is known, its value is not.
    Valueless(Name),
    /// It stood in the table before the agent came, or came while bytes were missing.
    Unknown,
}

/// These bytes are no field block, or one that no sane peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The decoder of one direction.
#[derive(Default)]
pub(super) struct Decoder {
    pub(super) table: Table,
    value: Vec<u8>,
}

/// Something read from the beginning of bytes.
enum Read<T> {
    /// It, and how many bytes it takes.
    Whole(T, usize),
    /// More bytes are needed.
    Partial,
    Bad,
}

/// A text as it was sent.
#[derive(Clone, Copy)]
struct Sent<'a> {
    coded: bool,
    bytes: &'a [u8],
}

/// A name, as far as it is known, with its length.
type Named = Option<(Name, usize)>;

impl Decoder {
    /// Decodes what is whole of `bytes`; answers how many bytes that was.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<usize, Malformed> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or(b"");
            let Some(first) = rest.first() else {
                return Ok(taken);
            };
            let read = match first {
                0x80.. => self.indexed(rest, &mut each),
                0x40.. => self.literal(rest, 6, true, &mut each),
                0x20.. => match integer(rest, 5) {
                    Read::Whole(capacity, len) => {
                        self.table.resize(capacity);
                        Read::Whole((), len)
                    }
                    Read::Partial => Read::Partial,
                    Read::Bad => Read::Bad,
                },
                _ => self.literal(rest, 4, false, &mut each),
            };
            match read {
                Read::Whole((), len) => taken += len,
                Read::Partial => return Ok(taken),
                Read::Bad => return Err(Malformed),
            }
        }
    }

    /// A field that stands in a table.
    fn indexed(&self, bytes: &[u8], each: &mut impl FnMut(Field<'_>)) -> Read<()> {
        let (index, len) = match integer(bytes, 7) {
            Read::Whole(index, len) => (index, len),
            Read::Partial => return Read::Partial,
            Read::Bad => return Read::Bad,
        };
        match self.table.find(index) {
            Found::Known(name, _, value) => each(Field::Known(name, value)),
            Found::Named(name, _) => each(Field::Valueless(name)),
            Found::Unknown => each(Field::Unknown),
            Found::Nothing => return Read::Bad,
        }
        Read::Whole((), len)
    }

    /// A field with a value of its own, and perhaps a name of its own; `kept` in the table.
    fn literal(
        &mut self,
        bytes: &[u8],
        prefix: u32,
        kept: bool,
        each: &mut impl FnMut(Field<'_>),
    ) -> Read<()> {
        let (index, mut taken) = match integer(bytes, prefix) {
            Read::Whole(index, len) => (index, len),
            Read::Partial => return Read::Partial,
            Read::Bad => return Read::Bad,
        };
        let own = match index {
            0 => match sent(bytes.get(taken..).unwrap_or(b"")) {
                Read::Whole(own, len) => {
                    taken += len;
                    Some(own)
                }
                Read::Partial => return Read::Partial,
                Read::Bad => return Read::Bad,
            },
            _ => None,
        };
        let value = match sent(bytes.get(taken..).unwrap_or(b"")) {
            Read::Whole(value, len) => {
                taken += len;
                value
            }
            Read::Partial => return Read::Partial,
            Read::Bad => return Read::Bad,
        };
        // Only now, so that a field that is not whole yet changes nothing.
        let named = match own {
            Some(own) => named(own),
            None => match self.table.find(index) {
                Found::Known(name, len, _) | Found::Named(name, len) => Some((name, len)),
                Found::Unknown => None,
                Found::Nothing => return Read::Bad,
            },
        };
        self.valued(named, value, kept, each);
        Read::Whole((), taken)
    }

    fn valued(
        &mut self,
        named: Named,
        value: Sent<'_>,
        kept: bool,
        each: &mut impl FnMut(Field<'_>),
    ) {
        let matters = named.is_some_and(|(name, _)| name != Name::Other);
        if !matters && !kept {
            each(named.map_or(Field::Unknown, |(name, _)| Field::Known(name, b"")));
            return;
        }
        self.value.clear();
        let most = if matters { LONGEST } else { 0 };
        let len = value.decode(&mut self.value, most);
        let text = len.map(|_| &*self.value);
        match (named, text) {
            (Some((name, _)), Some(text)) => each(Field::Known(name, text)),
            (Some((name, _)), None) => each(Field::Valueless(name)),
            (None, _) => each(Field::Unknown),
        }
        if kept {
            self.table
                .add(named, text.filter(|_| matters), len.unwrap_or(0));
        }
    }
}

impl Sent<'_> {
    /// The text's length, with its first `most` bytes put behind `out`.
    fn decode(self, out: &mut Vec<u8>, most: usize) -> Option<usize> {
        if !self.coded {
            let kept = self.bytes.get(..most).unwrap_or(self.bytes);
            out.extend_from_slice(kept);
            return Some(self.bytes.len());
        }
        let mut len = 0;
        let valid = huffman::decode(self.bytes, |byte| {
            if len < most {
                out.push(byte);
            }
            len += 1;
        });
        valid.then_some(len)
    }
}

/// The name that was sent.
fn named(sent: Sent<'_>) -> Named {
    let mut text = [0; LONGEST_NAME];
    let mut len = 0;
    let mut put = |byte| {
        if let Some(place) = text.get_mut(len) {
            *place = byte;
        }
        len += 1;
    };
    let valid = if sent.coded {
        huffman::decode(sent.bytes, put)
    } else {
        sent.bytes.iter().for_each(|byte| put(*byte));
        true
    };
    let found = text.get(..len).map_or(Name::Other, name);
    valid.then_some((found, len))
}

/// An integer in the low `prefix` bits of the first byte, and more bytes if it does not fit.
fn integer(bytes: &[u8], prefix: u32) -> Read<usize> {
    let mask = (1_usize << prefix) - 1;
    let Some(first) = bytes.first() else {
        return Read::Partial;
    };
    let mut number = usize::from(*first) & mask;
    if number < mask {
        return Read::Whole(number, 1);
    }
    for place in 0..5 {
        let Some(byte) = bytes.get(1 + place) else {
            return Read::Partial;
        };
        number += (usize::from(*byte) & 0x7f) << (7 * place);
        if number > MOST {
            return Read::Bad;
        }
        if byte & 0x80 == 0 {
            return Read::Whole(number, 2 + place);
        }
    }
    Read::Bad
}

/// A text: its length, and whether it is coded, stand before it.
fn sent(bytes: &[u8]) -> Read<Sent<'_>> {
    let (len, from) = match integer(bytes, 7) {
        Read::Whole(len, from) => (len, from),
        Read::Partial => return Read::Partial,
        Read::Bad => return Read::Bad,
    };
    let coded = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    match bytes.get(from..from + len) {
        Some(bytes) => Read::Whole(Sent { coded, bytes }, from + len),
        None => Read::Partial,
    }
}

/// Does the block that begins in this HEADERS frame belong to a request? Told by the first field
/// of the static table: fields of a request begin with its own pseudo-header fields.
pub(super) fn begins_request(frame: Frame, payload: &[u8]) -> bool {
    let pad = usize::from(frame.has(PADDED));
    let priority = if frame.has(PRIORITY) { 5 } else { 0 };
    let mut block = payload.get(pad + priority..).unwrap_or(b"");
    loop {
        let prefix = match block.first() {
            None => return false,
            Some(0x80..) => 7,
            Some(0x40..) => 6,
            Some(0x20..) => 5,
            Some(_) => 4,
        };
        let Read::Whole(number, len) = integer(block, prefix) else {
            return false;
        };
        match (prefix, number) {
            (4 | 6 | 7, 1..=7) => return true,
            // Another capacity, or a field of the dynamic table, which is not known.
            (5, _) | (7, 62..) => block = block.get(len..).unwrap_or(b""),
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "hpack_tests.rs"]
mod tests;
