//! Where the functions of a Go program are, stripped or not: its table of program counters
//! (`.gopclntab`), which the runtime itself needs for stack traces.
//!
//! In: an executable. Out: addresses of named functions. Layout: `runtime.pcHeader` and
//! `runtime.functab` of `src/runtime/symtab.go`; names of `src/internal/abi/symtab.go`. Go 1.16
//! and later.

use super::elf::{Section, Sections, u32_at, u64_at};
use super::symbols::Symbol;
use std::collections::HashMap;

/// A layout of the table.
#[derive(Clone, Copy)]
struct Layout {
    /// First bytes of the table.
    magic: u32,
    /// Bytes of each number of a function: an address, or a distance from the text.
    width: usize,
    /// Offsets in the header: of the text's address, if it is there, of the place of the names, and
    /// of that of the functions.
    text: Option<usize>,
    names: usize,
    entries: usize,
}

impl Layout {
    /// Since Go 1.18 functions are told by their distances.
    const fn of_distances(magic: u32) -> Self {
        Self {
            magic,
            width: 4,
            text: Some(24),
            names: 32,
            entries: 64,
        }
    }
}

/// Go 1.16 and 1.17, Go 1.18 and 1.19, Go 1.20 and later.
const LAYOUTS: [Layout; 3] = [
    Layout {
        magic: 0xffff_fffa,
        width: 8,
        text: None,
        names: 24,
        entries: 56,
    },
    Layout::of_distances(0xffff_fff0),
    Layout::of_distances(0xffff_fff1),
];
/// Bytes of the longest header.
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
    layout: Layout,
    /// Address of the first function, from which the others are counted; 0 where they have their own.
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
        let magic = u32_at(&head, 0)?;
        let layout = *LAYOUTS.iter().find(|layout| layout.magic == magic)?;
        if head.get(7) != Some(&8) {
            return None;
        }
        // Since Go 1.26 the header does not tell where the text begins.
        let text = match layout.text.map(|at| u64_at(&head, at)) {
            None => 0,
            Some(Some(0)) => text(sections)?,
            Some(told) => told?,
        };
        Some(Self {
            sections,
            start: section.offset,
            end: section_end(section)?,
            layout,
            text,
            functions: u64_at(&head, 8)?.min(FUNCTIONS),
            names: u64_at(&head, layout.names)?,
            entries: u64_at(&head, layout.entries)?,
        })
    }

    fn find(&self, wanted: &[&str]) -> Option<HashMap<String, Symbol>> {
        let names = self.name_offsets(wanted)?;
        let mut found = HashMap::new();
        // Pairs: where the code is, offset of its description here.
        let table = self.at(self.entries)?;
        let pair = 2 * self.layout.width;
        let step = WINDOW / pair;
        let mut index = 0;
        while index < self.functions && found.len() < names.len() {
            let count = usize::try_from(self.functions - index).ok()?.min(step);
            let window = self
                .sections
                .bytes(table.checked_add(index * pair as u64)?, (count + 1) * pair);
            for (i, function) in window.chunks_exact(pair).take(count).enumerate() {
                let code = self.number(function, 0)?;
                let description = self.number(function, self.layout.width)?;
                let Some(name) = self.name_of(description).and_then(|name| names.get(&name)) else {
                    continue;
                };
                let address = self.text.checked_add(code)?;
                // Only the dynamic linker knows it.
                if address == 0 {
                    continue;
                }
                let next = self.number(&window, (i + 1) * pair).unwrap_or(code);
                let symbol = Symbol {
                    address,
                    size: next.saturating_sub(code),
                };
                found.entry((*name).to_owned()).or_insert(symbol);
            }
            index += count as u64;
        }
        Some(found)
    }

    /// A number of a function, at `at` in `bytes`.
    fn number(&self, bytes: &[u8], at: usize) -> Option<u64> {
        match self.layout.width {
            8 => u64_at(bytes, at),
            _ => u32_at(bytes, at).map(u64::from),
        }
    }

    /// Name of the function that is described at `description`, as an offset among the names.
    fn name_of(&self, description: u64) -> Option<u32> {
        // `_func.nameOff` follows where the function begins.
        let description = description.checked_add(self.layout.width as u64)?;
        let at = self.at(self.entries)?.checked_add(description)?;
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

#[cfg(test)]
#[path = "pclntab_tests.rs"]
mod tests;
