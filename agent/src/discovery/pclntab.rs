//! Where the functions of a Go program are, stripped or not: its table of program counters
//! (`.gopclntab`), which the runtime itself needs for stack traces.
//!
//! In: an executable. Out: addresses of named functions. Layout: `runtime.pcHeader` and
//! `runtime.functab` of `src/runtime/symtab.go`; names of `src/internal/abi/symtab.go`. Go 1.18
//! and later.

use super::elf::{Section, Sections, u32_at, u64_at};
use super::symbols::Symbol;
use std::collections::HashMap;

/// Marks of the layouts: Go 1.18 and 1.19, Go 1.20 and later.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// Bytes of the header.
const HEADER: usize = 72;
/// Most functions that are looked at.
const FUNCTIONS: u64 = 4_000_000;
/// Bytes of the table that are held at once.
const WINDOW: usize = 1024 * 1024;
/// Offset of `runtime.moduledata.text` (Go 1.26, where the module has a section).
const MODULE_TEXT: u64 = 176;
/// Longest name that is compared.
const NAME: usize = 256;

/// The functions of these names, as far as the program has them.
#[must_use]
pub fn find(sections: &Sections, wanted: &[&str]) -> HashMap<String, Symbol> {
    Table::of(sections)
        .and_then(|table| table.find(wanted))
        .unwrap_or_default()
}

struct Table<'a> {
    sections: &'a Sections,
    /// Where the table begins in the file.
    start: u64,
    end: u64,
    /// Address of the first function.
    text: u64,
    functions: u64,
    names: u64,
    entries: u64,
}

impl<'a> Table<'a> {
    fn of(sections: &'a Sections) -> Option<Self> {
        let section = [".gopclntab", ".data.rel.ro.gopclntab"]
            .iter()
            .find_map(|name| sections.section(name))?;
        let head = sections.bytes(section.offset, HEADER);
        if !MAGICS.contains(&u32_at(&head, 0)?) || head.get(7) != Some(&8) {
            return None;
        }
        // Since Go 1.26 the header does not tell where the text begins.
        let text = match u64_at(&head, 24)? {
            0 => text(sections)?,
            told => told,
        };
        Some(Self {
            sections,
            start: section.offset,
            end: section_end(section)?,
            text,
            functions: u64_at(&head, 8)?.min(FUNCTIONS),
            names: u64_at(&head, 32)?,
            entries: u64_at(&head, 64)?,
        })
    }

    fn find(&self, wanted: &[&str]) -> Option<HashMap<String, Symbol>> {
        let names = self.name_offsets(wanted)?;
        let mut found = HashMap::new();
        // Pairs of 32 bits: offset of the code from the text, offset of its description here.
        let table = self.at(self.entries)?;
        let step = WINDOW as u64 / 8;
        let mut index = 0;
        while index < self.functions && found.len() < names.len() {
            let count = (self.functions - index).min(step);
            let window = self
                .sections
                .bytes(table.checked_add(index * 8)?, (count as usize + 1) * 8);
            for (i, pair) in window.chunks_exact(8).take(count as usize).enumerate() {
                let (code, description) = (u32_at(pair, 0)?, u32_at(pair, 4)?);
                let Some(name) = self.name_of(description).and_then(|name| names.get(&name)) else {
                    continue;
                };
                let next = u32_at(&window, i * 8 + 8).unwrap_or(code);
                let symbol = Symbol {
                    address: self.text.checked_add(u64::from(code))?,
                    size: u64::from(next.saturating_sub(code)),
                };
                found.entry((*name).to_owned()).or_insert(symbol);
            }
            index += count;
        }
        Some(found)
    }

    /// Name of the function that is described at `description`, as an offset among the names.
    fn name_of(&self, description: u32) -> Option<u32> {
        // `_func.nameOff` follows `entryOff`.
        let at = self
            .at(self.entries)?
            .checked_add(u64::from(description) + 4)?;
        u32_at(&self.sections.bytes(at, 4), 0)
    }

    /// Offsets of the wanted names among the names.
    fn name_offsets<'b>(&self, wanted: &[&'b str]) -> Option<HashMap<u32, &'b str>> {
        let start = self.at(self.names)?;
        let mut found = HashMap::new();
        let mut at = start;
        while at < self.end && found.len() < wanted.len() {
            let len = usize::try_from(self.end - at).ok()?.min(WINDOW);
            let window = self.sections.bytes(at, len);
            for name in wanted.iter().filter(|name| name.len() < NAME) {
                // Each name stands between two NULs.
                let pattern = [b"\0", name.as_bytes(), b"\0"].concat();
                if let Some(place) = memchr::memmem::find(&window, &pattern) {
                    let offset = at - start + place as u64 + 1;
                    found.entry(u32::try_from(offset).ok()?).or_insert(*name);
                }
            }
            if window.len() < len || len <= NAME {
                break;
            }
            at += (len - NAME) as u64;
        }
        Some(found)
    }

    fn at(&self, offset: u64) -> Option<u64> {
        let at = self.start.checked_add(offset)?;
        (at < self.end).then_some(at)
    }
}

/// Where the text begins: `runtime.moduledata.text`, which is only filled in by the dynamic linker
/// where the program can be moved; then the text has a section of its own.
fn text(sections: &Sections) -> Option<u64> {
    let module = sections.section(".go.module");
    let told = module.and_then(|module| {
        u64_at(
            &sections.bytes(module.offset.checked_add(MODULE_TEXT)?, 8),
            0,
        )
    });
    match told {
        None | Some(0) => Some(sections.section(".text")?.address),
        told => told,
    }
}

fn section_end(section: &Section) -> Option<u64> {
    section.offset.checked_add(section.len)
}
