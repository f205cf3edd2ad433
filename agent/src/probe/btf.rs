//! Offsets of kernel struct members from BTF (`Documentation/bpf/btf.rst`).
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux` or of a file the user names. Out: byte offsets by
//! struct and dotted path. The loader's own BTF type hides members, hence this small reader. The
//! bytes are the kernel's or the user's: malformed ones give an error, never a panic.

use std::collections::HashMap;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
/// Longest chain of typedefs and qualifiers, deepest nesting of anonymous members.
const DEPTH: u32 = 16;

// Kinds of `include/uapi/linux/btf.h`.
const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// Why BTF could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Not BTF at all.
    #[error("this is no BTF: the magic number is missing")]
    Magic,
    /// It ends too early or points outside of itself.
    #[error("BTF is cut or damaged at byte {0}")]
    Cut(usize),
}

/// A BTF blob with an index of its structs.
pub struct Btf<'a> {
    data: &'a [u8],
    strings: &'a [u8],
    /// Position of each type, by type id.
    types: Vec<u32>,
    structs: HashMap<&'a [u8], Vec<u32>>,
}

impl<'a> Btf<'a> {
    /// Indexes a blob.
    ///
    /// # Errors
    /// When the bytes are no BTF or are cut.
    pub fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let magic = data.get(..2).ok_or(Error::Magic)?;
        if u16::from_le_bytes([magic[0], magic[1]]) != MAGIC {
            return Err(Error::Magic);
        }
        let header = word(data, 4)? as usize;
        let section = |at: usize| -> Result<(usize, usize), Error> {
            let start = header
                .checked_add(word(data, at)? as usize)
                .ok_or(Error::Cut(at))?;
            let end = start
                .checked_add(word(data, at + 4)? as usize)
                .ok_or(Error::Cut(at))?;
            if end > data.len() {
                Err(Error::Cut(at))
            } else {
                Ok((start, end))
            }
        };
        let (types_start, types_end) = section(8)?;
        let (strings_start, strings_end) = section(16)?;
        let mut btf = Self {
            data,
            strings: &data[strings_start..strings_end],
            types: vec![0],
            structs: HashMap::new(),
        };
        let mut at = types_start;
        while at < types_end {
            let info = word(data, at + 4)?;
            let id = btf.types.len() as u32;
            btf.types.push(at as u32);
            if matches!(kind(info), STRUCT | UNION) {
                let name = btf.name(word(data, at)?);
                if !name.is_empty() {
                    btf.structs.entry(name).or_default().push(id);
                }
            }
            at += 12 + trailer(info);
        }
        Ok(btf)
    }

    /// Byte offset of the member at `path` (`a.b.c`) of struct `name`, through anonymous members.
    #[must_use]
    pub fn offset(&self, name: &str, path: &str) -> Option<u32> {
        self.structs.get(name.as_bytes())?.iter().find_map(|&id| {
            let mut bits = 0;
            let mut id = id;
            for member in path.split('.') {
                let (offset, inner) = self.member(id, member.as_bytes(), DEPTH)?;
                bits += offset;
                id = inner;
            }
            Some(bits / 8)
        })
    }

    fn name(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Follows typedefs and qualifiers to what they name.
    fn resolve(&self, mut id: u32) -> Option<(usize, u32)> {
        for _ in 0..DEPTH {
            let at = *self.types.get(id as usize)? as usize;
            let info = word(self.data, at + 4).ok()?;
            match kind(info) {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => {
                    id = word(self.data, at + 8).ok()?;
                }
                _ => return Some((at, info)),
            }
        }
        None
    }

    /// Offset in bits and type of member `name` of type `id`.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let (at, info) = self.resolve(id)?;
        if depth == 0 || !matches!(kind(info), STRUCT | UNION) {
            return None;
        }
        // With the flag the upper byte of an offset is the width of a bit field.
        let mask = if info >> 31 == 1 {
            0x00ff_ffff
        } else {
            u32::MAX
        };
        for i in 0..(info & 0xffff) as usize {
            let member = at + 12 + 12 * i;
            let label = word(self.data, member).ok()?;
            let inner = word(self.data, member + 4).ok()?;
            let bits = word(self.data, member + 8).ok()? & mask;
            if label != 0 {
                if self.name(label) == name {
                    return Some((bits, inner));
                }
            } else if let Some((more, found)) = self.member(inner, name, depth - 1) {
                return Some((bits + more, found));
            }
        }
        None
    }
}

fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

/// Bytes behind the twelve of every type.
fn trailer(info: u32) -> usize {
    let count = (info & 0xffff) as usize;
    match kind(info) {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => 12 * count,
        ENUM | FUNC_PROTO => 8 * count,
        _ => 0,
    }
}

fn word(data: &[u8], at: usize) -> Result<u32, Error> {
    let bytes = at
        .checked_add(4)
        .and_then(|end| data.get(at..end))
        .ok_or(Error::Cut(at))?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob with `struct outer { int a; struct { int b; }; }` made by hand.
    fn blob() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0";
        let mut types: Vec<u32> = vec![1, INT << 24, 4, 32]; // 1: int
        types.extend([0, STRUCT << 24 | 1, 4, 13, 1, 0]); // 2: anonymous { int b }
        types.extend([5, STRUCT << 24 | 2, 8, 11, 1, 0, 0, 2, 32]); // 3: outer
        let type_bytes: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut blob = MAGIC.to_le_bytes().to_vec();
        blob.extend([1, 0]);
        for word in [
            24,
            0,
            type_bytes.len() as u32,
            type_bytes.len() as u32,
            strings.len() as u32,
        ] {
            blob.extend(word.to_le_bytes());
        }
        blob.extend(type_bytes);
        blob.extend(strings);
        blob
    }

    #[test]
    fn finds_members_through_anonymous_structs() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.offset("outer", "a"), Some(0));
        assert_eq!(btf.offset("outer", "b"), Some(4));
        assert_eq!(btf.offset("outer", "c"), None);
        assert_eq!(btf.offset("inner", "a"), None);
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_panics() {
        let whole = blob();
        for end in 0..whole.len() {
            if let Ok(btf) = Btf::parse(&whole[..end]) {
                let _ = btf.offset("outer", "b");
            }
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Ok(btf) = Btf::parse(&bytes) {
                    let _ = btf.offset("outer", "b");
                }
            }
        }
    }
}
