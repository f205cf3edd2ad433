//! Types of a Go program, stripped or not: the descriptions that the runtime itself needs for
//! interfaces and reflection.
//!
//! In: an executable and the minor version of Go that built it. Out: where descriptions stand, and
//! offsets of fields. Layouts: `abi.Type`, `abi.StructType`, `abi.Name` of `src/internal/abi`,
//! `runtime.moduledata`. Not here: what the types mean.
//!
//! The list of types (`.typelink`) is sorted by their names and searched by halves, so a program
//! of 100 MB costs some dozens of small reads. Where a program can be moved its pointers are made
//! by the dynamic linker: they are looked up among its relocations, many in one pass.

use super::elf::{Section, Sections, u32_at, u64_at};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Bytes that are read at once.
const WINDOW: usize = 1024 * 1024;
/// Most bytes of one section that are looked through.
const SECTION_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of an `Elf64_Rela`, and its type for "address of the program plus a number" on x86-64.
const RELOCATION: usize = 24;
const RELATIVE: u64 = 8;
/// Bytes of an `abi.Type`, and of an `abi.StructField`.
const TYPE: usize = 48;
const FIELD: usize = 24;
/// Most fields of a struct, and most types of one name.
const FIELDS: u64 = 256;
const NAMESAKES: usize = 8;
/// Longest name that is compared.
const NAME: usize = 256;
/// `abi.TFlagExtraStar`: the name has a `*` in front that is not of it.
const EXTRA_STAR: u8 = 2;
/// `abi.Pointer` and `abi.Struct`, and the bits of the kind that say so.
const POINTER: u8 = 22;
const STRUCT: u8 = 25;
const KIND: u8 = 31;
/// Offset of `runtime.moduledata.types`: until Go 1.19, and since (which has `covctrs`).
const MODULE_TYPES: [u64; 2] = [280, 296];
const COVERED: u32 = 20;
/// Since this minor version `abi.StructField` holds an offset; before, twice that, and whether the
/// field is embedded.
const PLAIN_OFFSETS: u32 = 19;

/// Where the types of a program are.
pub struct Types<'a> {
    sections: &'a Sections,
    list: &'a Section,
    /// Names and types are told as distances from here.
    base: u64,
    /// How far offsets of fields are shifted.
    shift: u32,
}

/// A type of the form `*T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Address of its description, as linked.
    pub address: u64,
}

impl<'a> Types<'a> {
    /// Of the program with these sections, built by Go 1.`minor`.
    #[must_use]
    pub fn of(sections: &'a Sections, minor: u32) -> Option<Self> {
        let table = named(sections, &[".gopclntab", ".data.rel.ro.gopclntab"])?;
        let list = named(sections, &[".typelink", ".data.rel.ro.typelink"])?;
        let field = MODULE_TYPES[usize::from(minor >= COVERED)];
        let found = Self::in_place(sections, table.address, field)
            .or_else(|| Self::relocated(sections, table.address, field));
        let types = Self {
            sections,
            list,
            base: found?,
            shift: u32::from(minor < PLAIN_OFFSETS),
        };
        // What was taken for the module is none if its types have no names.
        types.name_of(types.entry(0)?)?;
        Some(types)
    }

    /// The module's description begins with the address of the table of functions.
    fn in_place(sections: &Sections, table: u64, field: u64) -> Option<u64> {
        let mut found = None;
        for name in [".go.module", ".noptrdata", ".data"] {
            let Some(section) = sections.section(name) else {
                continue;
            };
            each(sections, section, 8, |at, window| {
                let words = window.chunks_exact(8).enumerate();
                let mut starts = words.filter(|(_, word)| u64_at(word, 0) == Some(table));
                let start = starts
                    .next()
                    .map(|(index, _)| at.wrapping_add(8 * index as u64));
                found = found.or(start.and_then(|start| word(sections, start.wrapping_add(field))));
                found.is_none()
            });
            if found.is_some_and(|types| types != 0) {
                return found;
            }
        }
        None
    }

    fn relocated(sections: &Sections, table: u64, field: u64) -> Option<u64> {
        let mut modules = Vec::new();
        relocations(sections, |place, address| {
            if address == table && modules.len() < NAMESAKES {
                modules.push(place);
            }
        });
        let places: Vec<u64> = modules
            .iter()
            .map(|module| module.wrapping_add(field))
            .collect();
        let pointers = pointers(sections, &places);
        places.iter().find_map(|place| pointers.get(place)).copied()
    }

    /// Address that names and types are told as distances from, as linked.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The type `name` (`*package.Type`), if the program has exactly one of that name whose struct
    /// has all of `fields`, with the offsets of those.
    #[must_use]
    pub fn find(&self, name: &str, fields: &[&str]) -> Option<(Pointer, Vec<u64>)> {
        let mut found = None;
        for address in self.named(name) {
            let pointer = Pointer { address };
            let Some(offsets) = self.offsets(pointer, fields) else {
                continue;
            };
            if found.is_some() {
                return None;
            }
            found = Some((pointer, offsets));
        }
        found
    }

    /// Addresses of the types of this name.
    fn named(&self, name: &str) -> Vec<u64> {
        let (mut low, mut high) = (0, self.list.len / 4);
        while low < high {
            let middle = low + (high - low) / 2;
            let known = self.entry(middle).and_then(|at| self.name_of(at));
            match known.as_deref().map(|known| known.cmp(name)) {
                Some(Ordering::Less) => low = middle + 1,
                Some(Ordering::Equal | Ordering::Greater) => high = middle,
                None => return Vec::new(),
            }
        }
        let after = (low..self.list.len / 4).take(NAMESAKES);
        after
            .map_while(|index| self.entry(index))
            .take_while(|address| self.name_of(*address).as_deref() == Some(name))
            .collect()
    }

    /// Offsets of `fields` in the struct that `pointer` points to.
    fn offsets(&self, pointer: Pointer, fields: &[&str]) -> Option<Vec<u64>> {
        if fields.is_empty() {
            return Some(Vec::new());
        }
        if self.kind(pointer.address)? != POINTER {
            return None;
        }
        let element = self.pointer(pointer.address.wrapping_add(TYPE as u64))?;
        if self.kind(element)? != STRUCT {
            return None;
        }
        // Behind the type: the package's path, then the slice of fields.
        let slice = element.wrapping_add(TYPE as u64 + 8);
        let first = self.pointer(slice)?;
        let count = word(self.sections, slice.wrapping_add(8))?.min(FIELDS);
        let at = |index: u64| first.wrapping_add(index * FIELD as u64);
        let places: Vec<u64> = (0..count).map(at).collect();
        let names = pointers(self.sections, &places);
        let mut known = HashMap::new();
        for place in places {
            let name = names.get(&place).and_then(|at| self.name_at(*at));
            if let (Some(name), Some(offset)) = (name, word(self.sections, place.wrapping_add(16)))
            {
                known.entry(name).or_insert(offset >> self.shift);
            }
        }
        let of = |field: &&str| known.get(*field).copied();
        fields.iter().map(of).collect()
    }

    fn kind(&self, address: u64) -> Option<u8> {
        let bytes = self.bytes(address, TYPE)?;
        bytes.get(23).map(|kind| kind & KIND)
    }

    fn pointer(&self, place: u64) -> Option<u64> {
        pointers(self.sections, &[place]).get(&place).copied()
    }

    /// Address of the type at `index` of the list.
    fn entry(&self, index: u64) -> Option<u64> {
        let at = self.list.offset.checked_add(index.checked_mul(4)?)?;
        let distance = u32_at(&self.sections.bytes(at, 4), 0)?;
        self.base.checked_add(u64::from(distance))
    }

    /// Name of the type at `address`.
    fn name_of(&self, address: u64) -> Option<String> {
        let bytes = self.bytes(address, TYPE)?;
        let name = self.name_at(self.base.checked_add(u64::from(u32_at(&bytes, 40)?))?)?;
        match bytes.get(20)? & EXTRA_STAR {
            0 => Some(name),
            _ => name.strip_prefix('*').map(str::to_owned),
        }
    }

    /// An `abi.Name`: flags, length as a varint, bytes.
    fn name_at(&self, address: u64) -> Option<String> {
        let offset = self.sections.file_offset(address)?;
        let bytes = self.sections.bytes(offset, NAME + 3);
        let (low, high) = (*bytes.get(1)?, *bytes.get(2)?);
        let (len, from) = match low & 0x80 {
            0 => (usize::from(low), 2),
            _ => (usize::from(low & 0x7f) | usize::from(high) << 7, 3),
        };
        let name = bytes.get(from..from + len.min(NAME))?;
        String::from_utf8(name.to_vec()).ok()
    }

    fn bytes(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let bytes = self
            .sections
            .bytes(self.sections.file_offset(address)?, len);
        (bytes.len() == len).then_some(bytes)
    }
}

/// The first section that has one of these names.
fn named<'a>(sections: &'a Sections, names: &[&str]) -> Option<&'a Section> {
    names.iter().find_map(|name| sections.section(name))
}

/// The word that stands at `address` of the file as linked.
fn word(sections: &Sections, address: u64) -> Option<u64> {
    u64_at(&sections.bytes(sections.file_offset(address)?, 8), 0)
}

/// The addresses that will stand at `places`, as far as any will.
fn pointers(sections: &Sections, places: &[u64]) -> HashMap<u64, u64> {
    let mut found = HashMap::new();
    for place in places {
        if let Some(address) = word(sections, *place).filter(|address| *address != 0) {
            found.insert(*place, address);
        }
    }
    if found.len() < places.len() {
        let mut missing: Vec<u64> = places.to_vec();
        missing.sort_unstable();
        relocations(sections, |place, address| {
            if missing.binary_search(&place).is_ok() {
                found.insert(place, address);
            }
        });
    }
    found
}

/// Calls `relocation` with each place and the address that will stand there.
fn relocations(sections: &Sections, mut relocation: impl FnMut(u64, u64)) {
    // Go's own linker, and that of C.
    let Some(section) = named(sections, &[".rela", ".rela.dyn"]) else {
        return;
    };
    each(sections, section, RELOCATION, |_, window| {
        for entry in window.chunks_exact(RELOCATION) {
            if let [Some(place), Some(RELATIVE), Some(address)] =
                [0, 8, 16].map(|at| u64_at(entry, at))
            {
                relocation(place, address);
            }
        }
        true
    });
}

/// Reads `section` in windows of whole entries, with their addresses, until one is not followed by
/// more.
fn each(
    sections: &Sections,
    section: &Section,
    entry: usize,
    mut window: impl FnMut(u64, &[u8]) -> bool,
) {
    let step = WINDOW / entry * entry;
    let len = section.len.min(SECTION_BYTES);
    let mut at = 0;
    while at < len {
        let rest = usize::try_from(len - at).unwrap_or(step).min(step);
        let bytes = sections.bytes(section.offset.wrapping_add(at), rest);
        if !window(section.address.wrapping_add(at), &bytes) || bytes.len() < rest {
            return;
        }
        at += rest as u64;
    }
}

#[cfg(test)]
#[path = "go_types_tests.rs"]
mod tests;
