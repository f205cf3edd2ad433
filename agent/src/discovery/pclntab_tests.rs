//! Tables of each layout, whole and broken.

use super::*;
use crate::discovery::elf_fixture::{HEAD, Image};

/// Names and distances from the text; the last one ends the table.
const FUNCTIONS: [(&str, u64); 3] = [("runtime.main", 0), ("main.main", 64), ("main.other", 80)];
const END: u64 = 96;
/// Where the text is; nobody asks whether it is there.
const TEXT: u64 = 0x40_1000;

/// A table of `layout`; the C linker leaves addresses to the dynamic linker.
fn image(layout: Layout, known: bool) -> Image {
    let mut image = Image::new();
    let start = image.at();
    let mut names = vec![0];
    let places: Vec<u64> = FUNCTIONS
        .iter()
        .map(|(name, _)| {
            let at = names.len() as u64;
            names.extend(name.bytes().chain([0]));
            at
        })
        .collect();
    let head = layout.entries + 8;
    let entries = head + names.len();
    image.bytes.extend(layout.magic.to_le_bytes());
    image.bytes.extend([0, 0, 1, 8]);
    image.bytes.resize(start as usize + head, 0);
    let mut set = |at: usize, word: usize| {
        let at = start as usize + at;
        image.bytes[at..at + 8].copy_from_slice(&(word as u64).to_le_bytes());
    };
    set(8, FUNCTIONS.len());
    set(layout.names, head);
    set(layout.entries, entries);
    if let Some(at) = layout.text {
        set(at, TEXT as usize);
    }
    image.bytes.extend(names);
    let base = if layout.text.is_some() { 0 } else { TEXT };
    let width = layout.width;
    let mut number = |number: u64| image.bytes.extend(&number.to_le_bytes()[..width]);
    for (index, (_, distance)) in FUNCTIONS.iter().enumerate() {
        number(if known { base + distance } else { 0 });
        number(((FUNCTIONS.len() + 1) * 2 * width + index * (width + 4)) as u64);
    }
    number(base + END);
    number(0);
    for place in places {
        image.bytes.extend(&[0; 8][..width]);
        image.bytes.extend((place as u32).to_le_bytes());
    }
    image.section(".gopclntab", start);
    image
}

#[test]
fn functions_are_found_in_every_layout() {
    for layout in LAYOUTS {
        let sections = image(layout, true).sections();
        for (name, expected) in [
            ("main.main", Some((TEXT + 64, 16))),
            ("main.other", Some((TEXT + 80, 16))),
            ("runtime.main", Some((TEXT, 64))),
            ("main", None),
            ("main.nothing", None),
        ] {
            let found = find(&sections, &[name]);
            let found = found.get(name).map(|found| (found.address, found.size));
            assert_eq!(found, expected, "{name} {:x}", layout.magic);
        }
    }
}

#[test]
fn addresses_that_are_not_in_the_file_are_none() {
    let sections = image(LAYOUTS[0], false).sections();
    assert!(find(&sections, &["main.main"]).is_empty());
}

#[test]
fn another_layout_is_none() {
    let mut other = LAYOUTS[0];
    other.magic = 0xffff_fffb;
    assert!(find(&image(other, true).sections(), &["main.main"]).is_empty());
}

/// Wherever a table is wrong, there is an answer, and never a name that was not asked for.
#[test]
fn broken_tables_do_no_harm() {
    for layout in LAYOUTS {
        for at in HEAD..image(layout, true).bytes.len() {
            for wrong in [0, 0x7f, 0xff] {
                let mut image = image(layout, true);
                let end = (at + 8).min(image.bytes.len());
                image.bytes[at..end].fill(wrong);
                let found = find(&image.sections(), &["main.main"]);
                assert!(found.keys().all(|name| name == "main.main"), "{at} {wrong}");
            }
        }
    }
}
