//! Programs that hold nothing but what is looked for, loaded where they stand in the file.

use super::*;
use std::io::Write;

/// Name and fields of each struct `T`; the list names `*T`.
const STRUCTS: &[(&str, &[(&str, u64)])] = &[
    ("a.First", &[("conn", 8)]),
    ("b.Same", &[("id", 4)]),
    ("b.Same", &[("conn", 16), ("id", 24)]),
    ("c.Twins", &[("id", 0)]),
    ("c.Twins", &[("id", 8)]),
    ("net.TCPConn", &[("conn", 0)]),
];
/// Minor version with the longer description of the module.
const MINOR: u32 = 21;

/// An executable under construction.
#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
    sections: Vec<(&'static str, u64, u64)>,
    /// Places of addresses.
    pointers: Vec<u64>,
}

impl Image {
    fn at(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn word(&mut self, word: u64) {
        self.bytes.extend(word.to_le_bytes());
    }

    fn pointer(&mut self, to: u64) {
        self.pointers.push(self.at());
        self.word(to);
    }

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

    fn section(&mut self, name: &'static str, from: u64) {
        self.sections.push((name, from, self.at() - from));
    }

    /// Types, their list, the module; `moved`: pointers are made by the dynamic linker.
    fn program(moved: bool) -> Self {
        let mut image = Self {
            bytes: vec![0; 128],
            ..Self::default()
        };
        let base = image.at();
        let mut list = Vec::new();
        for (name, fields) in STRUCTS {
            list.push(image.described(base, name, fields) - base);
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
        let after = image.at() - 8 + MODULE_TYPES[1];
        image.bytes.resize(after as usize, 0);
        image.pointer(base);
        image.section(".noptrdata", from);
        if moved {
            image.relocate();
        }
        image
    }

    fn described(&mut self, base: u64, name: &str, fields: &[(&str, u64)]) -> u64 {
        let names: Vec<u64> = fields.iter().map(|(name, _)| self.name(name)).collect();
        let pointer_name = self.name(&format!("*{name}")) - base;
        let from = self.at();
        for ((_, offset), name) in fields.iter().zip(names) {
            self.pointer(name);
            self.word(0);
            self.word(*offset);
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

    fn sections(mut self) -> Sections {
        let names = self.at();
        self.bytes.push(0);
        let mut headers = vec![[0_u64; 8]];
        self.section(".shstrtab", names);
        for (name, from, len) in self.sections.clone() {
            let at = self.at() - names;
            self.bytes.extend(name.as_bytes());
            self.bytes.push(0);
            headers.push([at | 1 << 32, 0, from, from, len, 0, 8, 0]);
        }
        let end = self.at();
        let last = headers.len() - 1;
        headers[last][4] = end - names;
        self.bytes.resize(end.next_multiple_of(8) as usize, 0);
        let table = self.at();
        headers.iter().flatten().for_each(|word| self.word(*word));
        let whole = self.at();
        let mut head = [0; 128];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let segment = [1_u64, 0, 0, 0, whole, whole, 1];
        for (at, word) in [(32, 64), (40, table)] {
            head[at..at + 8].copy_from_slice(&u64::to_le_bytes(word));
        }
        let counts = [56_u16, 1, 64, headers.len() as u16, last as u16];
        for (i, half) in counts.iter().enumerate() {
            head[54 + 2 * i..56 + 2 * i].copy_from_slice(&half.to_le_bytes());
        }
        for (i, word) in segment.iter().enumerate() {
            head[64 + 8 * i..72 + 8 * i].copy_from_slice(&word.to_le_bytes());
        }
        self.bytes[..128].copy_from_slice(&head);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.bytes).unwrap();
        Sections::of(file).unwrap()
    }
}

#[test]
fn types_are_found_by_name_and_fields() {
    for moved in [false, true] {
        let sections = Image::program(moved).sections();
        let types = Types::of(&sections, MINOR).unwrap();
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
            assert_eq!(find(name, fields), expected, "{name} {fields:?} {moved}");
        }
    }
}

#[test]
fn another_layout_of_the_module_is_none() {
    let sections = Image::program(false).sections();
    assert!(Types::of(&sections, 18).is_none());
}

/// Wherever a program is cut or wrong, there is an answer.
#[test]
fn broken_programs_do_no_harm() {
    for at in (128..Image::program(true).bytes.len()).step_by(5) {
        let mut image = Image::program(at % 2 == 0);
        let end = (at + 8).min(image.bytes.len());
        image.bytes[at.min(end)..end].fill(0xff);
        let sections = image.sections();
        if let Some(types) = Types::of(&sections, MINOR) {
            let _ = types.find("*b.Same", &["id"]);
        }
    }
}
