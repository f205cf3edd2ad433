//! Addresses of named symbols of an executable or library.
//!
//! In: its sections and the names that are wanted. Out: [`Symbol`]s. Both tables are read in
//! windows, names first, so that a binary of 100 MB costs a few MB of memory; a hostile one costs
//! no more.

use super::elf::{Sections, u32_at, u64_at};
use memchr::memmem;
use std::collections::HashMap;

/// Bytes of the tables that are held at once.
const WINDOW: usize = 1024 * 1024;
/// Most bytes of a table that are read.
const TABLE_BYTES: u64 = 512 * 1024 * 1024;
/// Most places of wanted names in a table of names: other names may end like them.
const PLACES: usize = 64 * 1024;
/// Bytes of one entry of a symbol table.
const ENTRY: usize = 24;

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Address as linked; for thread-local ones the offset in their block.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// The symbols of these names, as far as the file has them. A local symbol table is better than
/// that of the dynamic linker, which has exported ones only.
#[must_use]
pub fn find(sections: &Sections, wanted: &[&str]) -> HashMap<String, Symbol> {
    let mut found = HashMap::new();
    for (table, names) in [(".symtab", ".strtab"), (".dynsym", ".dynstr")] {
        if found.len() < wanted.len() {
            search(sections, table, names, wanted, &mut found);
        }
    }
    found
}

/// The first symbol whose name contains each of `marks`: compilers put hashes into the names of
/// what they mangle. A mark that no name contains is absent.
#[must_use]
pub fn containing(sections: &Sections, marks: &[&str]) -> HashMap<String, Symbol> {
    let Some(names) = names_containing(sections, marks) else {
        return HashMap::new();
    };
    let wanted: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
    let found = find(sections, &wanted);
    let of_mark = |(mark, name): &(String, String)| Some((mark.clone(), *found.get(name)?));
    names.iter().filter_map(of_mark).collect()
}

/// All symbols whose names contain one of `marks`, by their names; at most `most`, a small number.
/// Both tables are read once, however many there are.
#[must_use]
pub fn all_containing(sections: &Sections, marks: &[&str], most: usize) -> HashMap<String, Symbol> {
    let mut found = HashMap::new();
    let names = all_names_containing(sections, marks, most).unwrap_or_default();
    if !names.is_empty() {
        let places = names.iter().map(|(place, name)| (*place, name.as_str()));
        entries(sections, ".symtab", &places.collect(), &mut found);
    }
    found
}

/// The whole names that contain one of `marks`, in the local table of names, by their places there.
fn all_names_containing(
    sections: &Sections,
    marks: &[&str],
    most: usize,
) -> Option<HashMap<u64, String>> {
    let mut found = HashMap::new();
    each_window(sections, |at, window| {
        for mark in marks {
            for place in memmem::find_iter(window, mark.as_bytes()) {
                if found.len() >= most {
                    return false;
                }
                let name = name_around(window, place);
                found.extend(name.map(|(start, name)| (at + start as u64, name)));
            }
        }
        true
    })?;
    Some(found)
}

/// Longest name that is looked at.
const NAME: usize = 512;

/// Marks and the first whole name that contains each, in the local table of names.
fn names_containing(sections: &Sections, marks: &[&str]) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    each_window(sections, |_, window| {
        for mark in marks {
            if found.iter().any(|(known, _)| known == mark) {
                continue;
            }
            let name = memmem::find_iter(window, mark.as_bytes())
                .find_map(|place| name_around(window, place))
                .map(|(_, name)| name);
            found.extend(name.map(|name| ((*mark).to_owned(), name)));
        }
        found.len() < marks.len()
    })?;
    Some(found)
}

/// Goes through the local table of names until `each`, which gets a place in it and what stands there,
/// has seen enough. Windows overlap by the longest name, so each name is whole in one.
fn each_window(sections: &Sections, mut each: impl FnMut(u64, &[u8]) -> bool) -> Option<()> {
    let table = sections.section(".strtab")?;
    let end = table.offset.checked_add(table.len.min(TABLE_BYTES))?;
    let mut at = table.offset;
    while at < end {
        let len = usize::try_from(end - at).ok()?.min(WINDOW);
        let window = sections.bytes(at, len);
        let last = window.len() < len || len <= NAME || at + len as u64 == end;
        if !each(at - table.offset, &window) || last {
            break;
        }
        at += (len - NAME) as u64;
    }
    Some(())
}

/// The name that `place` is in, and where it begins, if it is whole.
fn name_around(window: &[u8], place: usize) -> Option<(usize, String)> {
    let first = place.saturating_sub(NAME);
    let before = window
        .get(first..place)?
        .iter()
        .rposition(|byte| *byte == 0)?;
    let len = window
        .get(place..)?
        .iter()
        .take(NAME)
        .position(|byte| *byte == 0)?;
    let start = first + before + 1;
    let name = window.get(start..place + len)?;
    if name.len() > NAME {
        return None;
    }
    Some((start, String::from_utf8(name.to_vec()).ok()?))
}

fn search(
    sections: &Sections,
    table: &str,
    names: &str,
    wanted: &[&str],
    found: &mut HashMap<String, Symbol>,
) -> Option<()> {
    let places = places(sections, names, wanted)?;
    entries(sections, table, &places, found)
}

/// The symbols of `table` whose names stand at `places`.
fn entries(
    sections: &Sections,
    table: &str,
    places: &HashMap<u64, &str>,
    found: &mut HashMap<String, Symbol>,
) -> Option<()> {
    let table = sections.section(table)?;
    let end = table.offset.checked_add(table.len.min(TABLE_BYTES))?;
    let mut at = table.offset;
    let step = (WINDOW / ENTRY) * ENTRY;
    while at < end {
        let len = usize::try_from(end - at).ok()?.min(step);
        let window = sections.bytes(at, len);
        for entry in window.chunks_exact(ENTRY) {
            let Some(name) = places.get(&u64::from(u32_at(entry, 0)?)) else {
                continue;
            };
            let (address, size) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
            // `SHN_UNDEF`: it is somewhere else.
            if entry.get(6..8)? != [0, 0] {
                found
                    .entry((*name).to_owned())
                    .or_insert(Symbol { address, size });
            }
        }
        if window.len() < len {
            break;
        }
        at += len as u64;
    }
    Some(())
}

/// Where each name stands in a table of names; linkers share the ends of names.
fn places<'a>(
    sections: &Sections,
    names: &str,
    wanted: &[&'a str],
) -> Option<HashMap<u64, &'a str>> {
    let table = sections.section(names)?;
    let end = table.offset.checked_add(table.len.min(TABLE_BYTES))?;
    let patterns: Vec<(Vec<u8>, &str)> = wanted
        .iter()
        .map(|name| ([name.as_bytes(), b"\0"].concat(), *name))
        .collect();
    let overlap = patterns.iter().map(|(bytes, _)| bytes.len()).max()?;
    let mut found = HashMap::new();
    let mut at = table.offset;
    while at < end {
        let len = usize::try_from(end - at).ok()?.min(WINDOW);
        let window = sections.bytes(at, len);
        for (pattern, name) in &patterns {
            let room = PLACES.saturating_sub(found.len());
            for place in memmem::find_iter(&window, pattern).take(room) {
                found.insert(at - table.offset + place as u64, *name);
            }
        }
        if window.len() < len || len <= overlap || at + len as u64 == end {
            break;
        }
        at += (len - overlap) as u64;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn symbols_of_this_very_program() {
        let file = File::open("/proc/self/exe").unwrap();
        let sections = Sections::of(file).unwrap();
        let found = find(&sections, &["main", "no_such_symbol_anywhere"]);
        assert_eq!(found.len(), 1, "{found:?}");
        let main = found["main"];
        assert!(main.size > 0 && sections.file_offset(main.address).is_some());
    }

    #[test]
    fn names_are_found_by_a_part() {
        let file = File::open("/proc/self/exe").unwrap();
        let sections = Sections::of(file).unwrap();
        let part = "names_are_found_by_a_part";
        let found = containing(&sections, &[part, "no_such_symbol_anywhere_at_all_either"]);
        let symbol = found.get(part).expect("this very function has a symbol");
        assert!(sections.file_offset(symbol.address).is_some(), "{found:?}");
    }

    #[test]
    fn all_names_are_found_by_a_part() {
        let file = File::open("/proc/self/exe").unwrap();
        let sections = Sections::of(file).unwrap();
        let found = all_containing(&sections, &["7symbols5tests"], 64);
        let part = "all_names_are_found_by_a_part";
        let (name, symbol) = found.iter().find(|(name, _)| name.contains(part)).unwrap();
        // As by its whole name.
        assert_eq!(find(&sections, &[name]).get(name), Some(symbol));
        assert!(found.len() > 1, "{found:?}");
        assert_eq!(all_containing(&sections, &["7symbols5tests"], 1).len(), 1);
        assert!(all_containing(&sections, &["no_such_symbol_anywhere"], 64).is_empty());
    }

    #[test]
    fn names_are_whole() {
        let names = b"\0first\0_Zsecond17h\0thi";
        for (place, expected) in [(3, Some("first")), (9, Some("_Zsecond17h")), (20, None)] {
            let found = name_around(names, place).map(|(_, name)| name);
            assert_eq!(found.as_deref(), expected, "{place}");
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        let file = File::open("/proc/self/exe").unwrap();
        let sections = Sections::of(file).unwrap();
        assert!(find(&sections, &[]).is_empty());
        assert!(places(&sections, ".no_such_section", &["main"]).is_none());
    }
}
