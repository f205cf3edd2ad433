//! Programs that hold nothing but what is looked for, loaded where they stand in the file.

use super::*;
use crate::discovery::elf_fixture::{HEAD, Image};

/// Name and fields of each struct `T`; the list names `*T`.
const STRUCTS: &[(&str, &[(&str, u64)])] = &[
    ("a.First", &[("conn", 8)]),
    ("b.Same", &[("id", 4)]),
    ("b.Same", &[("conn", 16), ("id", 24)]),
    ("c.Twins", &[("id", 0)]),
    ("c.Twins", &[("id", 8)]),
    ("net.TCPConn", &[("conn", 0)]),
];
/// Minor versions with the longer description of the module, and with the shorter one: the last of
/// them has plain offsets of fields, as the former have, and the one before has not.
const MINORS: [u32; 3] = [21, 19, 18];
const MINOR: u32 = MINORS[0];

impl Image {
    fn name(&mut self, name: &str) -> u64 {
        let at = self.at();
        self.bytes.extend([0, name.len() as u8]);
        self.bytes.extend(name.as_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        at
    }

    /// The head of a type; `star`: its name has one that is not of it.
    fn head(&mut self, kind: u8, star: bool, name: u64) -> u64 {
        let at = self.at();
        let mut head = [0; TYPE];
        head[20] = if star { EXTRA_STAR } else { 0 };
        head[23] = kind;
        head[40..44].copy_from_slice(&(name as u32).to_le_bytes());
        self.bytes.extend(head);
        at
    }

    /// Types, their list, the module, as Go 1.`minor` has them; `moved`: pointers are made by the
    /// dynamic linker.
    fn program(moved: bool, minor: u32) -> Self {
        let mut image = Self::new();
        let base = image.at();
        let mut list = Vec::new();
        for (name, fields) in STRUCTS {
            list.push(image.described(base, name, fields, minor) - base);
        }
        image.section(".rodata", base);
        let table = image.at();
        image.word(0);
        image.section(".gopclntab", table);
        let from = image.at();
        for distance in list {
            image.bytes.extend((distance as u32).to_le_bytes());
        }
        image.section(".typelink", from);
        let from = image.at();
        image.word(7);
        image.pointer(table);
        let after = image.at() - 8 + MODULE_TYPES[usize::from(minor >= COVERED)];
        image.bytes.resize(after as usize, 0);
        image.pointer(base);
        image.section(".noptrdata", from);
        if moved {
            image.relocate();
        }
        image
    }

    fn described(&mut self, base: u64, name: &str, fields: &[(&str, u64)], minor: u32) -> u64 {
        let names: Vec<u64> = fields.iter().map(|(name, _)| self.name(name)).collect();
        let pointer_name = self.name(&format!("*{name}")) - base;
        let from = self.at();
        for ((_, offset), name) in fields.iter().zip(names) {
            self.pointer(name);
            self.word(0);
            // The lowest bit says that the field is embedded.
            self.word(if minor < PLAIN_OFFSETS {
                offset << 1 | 1
            } else {
                *offset
            });
        }
        let element = self.head(STRUCT, true, pointer_name);
        self.word(0);
        self.pointer(from);
        self.word(fields.len() as u64);
        self.word(fields.len() as u64);
        let pointer = self.head(POINTER, false, pointer_name);
        self.pointer(element);
        pointer
    }

    fn relocate(&mut self) {
        let from = self.at();
        for place in std::mem::take(&mut self.pointers) {
            let to = place as usize..place as usize + 8;
            let address = u64_at(&self.bytes, place as usize).unwrap();
            self.bytes[to].fill(0);
            self.word(place);
            self.word(RELATIVE);
            self.word(address);
        }
        self.section(".rela", from);
    }
}

#[test]
fn types_are_found_by_name_and_fields() {
    for (moved, minor) in [false, true]
        .into_iter()
        .flat_map(|moved| MINORS.map(|minor| (moved, minor)))
    {
        let sections = Image::program(moved, minor).sections();
        let types = Types::of(&sections, minor).unwrap();
        let find = |name, fields: &[&str]| Some(types.find(name, fields)?.1);
        for (name, fields, expected) in [
            ("*a.First", &["conn"][..], Some(vec![8])),
            ("*net.TCPConn", &["conn"], Some(vec![0])),
            ("*net.TCPConn", &["fd"], None),
            // Of two of one name, the one that has the fields; not one of two that both do.
            ("*b.Same", &["id", "conn"], Some(vec![24, 16])),
            ("*c.Twins", &["id"], None),
            ("*net.Nothing", &[], None),
            ("*", &[], None),
        ] {
            assert_eq!(
                find(name, fields),
                expected,
                "{name} {fields:?} {moved} {minor}"
            );
        }
    }
}

#[test]
fn another_layout_of_the_module_is_none() {
    let sections = Image::program(false, MINOR).sections();
    assert!(Types::of(&sections, 18).is_none());
}

/// Wherever a program is cut or wrong, there is an answer.
#[test]
fn broken_programs_do_no_harm() {
    for at in (HEAD..Image::program(true, MINOR).bytes.len()).step_by(5) {
        let mut image = Image::program(at % 2 == 0, MINOR);
        let end = (at + 8).min(image.bytes.len());
        image.bytes[at.min(end)..end].fill(0xff);
        let sections = image.sections();
        if let Some(types) = Types::of(&sections, MINOR) {
            let _ = types.find("*b.Same", &["id"]);
        }
    }
}
