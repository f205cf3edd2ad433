//! Addresses that stand in the data of an executable or library: its tables of functions.
//!
//! In: its sections. Out: where which address will stand once it is loaded, from the relocations
//! of the dynamic linker and from the data themselves. So a function is found by the name that a
//! table gives it, where nothing else names it.

use super::elf::{Sections, u64_at};
use memchr::memmem;
use std::collections::BTreeMap;

/// Bytes that are read at once, and most of one section.
const WINDOW: usize = 1024 * 1024;
const SECTION_BYTES: u64 = 64 * 1024 * 1024;
/// Most places that are remembered: a runtime with all its modules has 100,000.
const PLACES: usize = 1 << 20;
/// Bytes of an `Elf64_Rela`.
const RELOCATION: usize = 24;
/// Types of relocations, x86-64.
const RELATIVE: u64 = 8;
const MODULE: u64 = 16;
/// Most places of one text, and of its address.
const TEXTS: usize = 64;
/// Longest name that is read.
const NAME: usize = 64;

/// Places of addresses.
#[derive(Default)]
pub struct Pointers {
    /// Place to address.
    found: BTreeMap<u64, u64>,
    /// Where the number of the library's own module of thread-local storage will stand.
    pub module: Option<u64>,
}

impl Pointers {
    /// Of the file with these sections.
    #[must_use]
    pub fn of(sections: &Sections) -> Self {
        let mut pointers = Self::default();
        for name in [".data.rel.ro", ".data"] {
            pointers.words(sections, name);
        }
        pointers.relocations(sections);
        pointers
    }

    /// The address that stands at `place`.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<u64> {
        self.found.get(&place).copied()
    }

    /// Where the address of the text `name` stands.
    #[must_use]
    pub fn places(&self, sections: &Sections, name: &str) -> Vec<u64> {
        let texts = texts(sections, name);
        let found = self.found.iter();
        found
            .filter(|(_, address)| texts.contains(address))
            .map(|(place, _)| *place)
            .take(TEXTS)
            .collect()
    }

    /// The text whose address stands at `place`.
    #[must_use]
    pub fn text(&self, sections: &Sections, place: u64) -> Option<String> {
        let bytes = sections.bytes(sections.file_offset(self.at(place)?)?, NAME);
        let text = bytes.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn words(&mut self, sections: &Sections, name: &str) {
        let Some(section) = sections.section(name) else {
            return;
        };
        let start = section.address;
        each(sections, name, |at, window| {
            for (index, word) in window.chunks_exact(8).enumerate() {
                let address = u64_at(word, 0).unwrap_or(0);
                if address != 0 && sections.file_offset(address).is_some() {
                    let place = start.wrapping_add(at + 8 * index as u64);
                    self.insert(place, address);
                }
            }
        });
    }

    fn insert(&mut self, place: u64, address: u64) {
        if self.found.len() < PLACES {
            self.found.insert(place, address);
        }
    }

    fn relocations(&mut self, sections: &Sections) {
        each(sections, ".rela.dyn", |_, window| {
            for entry in window.chunks_exact(RELOCATION) {
                let [place, info, addend] = [0, 8, 16].map(|at| u64_at(entry, at).unwrap_or(0));
                match info {
                    RELATIVE => self.insert(place, addend),
                    MODULE => self.module = Some(place),
                    _ => {}
                }
            }
        });
    }
}

/// Reads section `name` in windows; their lengths are multiples of whatever stands in them.
fn each(sections: &Sections, name: &str, mut window: impl FnMut(u64, &[u8])) {
    let Some(section) = sections.section(name) else {
        return;
    };
    let step = WINDOW / RELOCATION * RELOCATION;
    let len = section.len.min(SECTION_BYTES);
    let mut at = 0;
    while at < len {
        let rest = usize::try_from(len - at).unwrap_or(step).min(step);
        let bytes = sections.bytes(section.offset.saturating_add(at), rest);
        window(at, &bytes);
        if bytes.len() < rest {
            return;
        }
        at += rest as u64;
    }
}

/// Addresses of `text` among the constants.
fn texts(sections: &Sections, text: &str) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    let pattern = [text.as_bytes(), b"\0"].concat();
    if let Some(section) = sections.section(".rodata") {
        let start = section.address;
        each(sections, ".rodata", |at, window| {
            let places = memmem::find_iter(window, &pattern).take(TEXTS - found.len());
            found.extend(places.map(|place| start.wrapping_add(at + place as u64)));
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    static TABLE: [&str; 2] = ["a text that only this test names", "and another one"];

    #[test]
    fn a_table_is_found_by_a_text_in_it() {
        let sections = Sections::of(File::open("/proc/self/exe").unwrap()).unwrap();
        let pointers = Pointers::of(&sections);
        // Texts of Rust end without a NUL: this one is followed by another.
        let all = pointers.found.keys();
        let starts = |place: &u64, text: &str| {
            pointers
                .text(&sections, *place)
                .is_some_and(|found| found.starts_with(text))
        };
        let count = all.filter(|place| starts(place, TABLE[0])).count();
        assert!(count > 0, "{TABLE:?}");
    }

    #[test]
    fn texts_end_where_they_end() {
        let sections = Sections::of(File::open("/proc/self/exe").unwrap()).unwrap();
        assert!(texts(&sections, "no such text\u{1}anywhere").is_empty());
    }
}
