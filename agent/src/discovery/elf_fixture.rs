//! Executables for tests, that hold nothing but what is looked for.
//!
//! In: sections, one after the other. Out: a file that [`Sections`] reads, loaded where it stands
//! in the file. Not here: what the sections hold.

use super::elf::Sections;
use std::io::Write;

/// Bytes of the headers in front: of the file, and of one segment.
pub(crate) const HEAD: usize = 128;

/// An executable under construction.
#[derive(Clone, Default)]
pub(crate) struct Image {
    /// What it consists of so far.
    pub(crate) bytes: Vec<u8>,
    /// Names, places and lengths.
    sections: Vec<(&'static str, u64, u64)>,
    /// Places of addresses.
    pub(crate) pointers: Vec<u64>,
}

impl Image {
    /// Room for the headers.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; HEAD],
            ..Self::default()
        }
    }

    /// Where the next byte comes.
    pub(crate) fn at(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.bytes.extend(word.to_le_bytes());
    }

    /// An address.
    pub(crate) fn pointer(&mut self, to: u64) {
        self.pointers.push(self.at());
        self.word(to);
    }

    /// What stands from `from` to here is section `name`.
    pub(crate) fn section(&mut self, name: &'static str, from: u64) {
        self.sections.push((name, from, self.at() - from));
    }

    /// The whole as a file.
    pub(crate) fn sections(mut self) -> Sections {
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
        let mut head = [0; HEAD];
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
        self.bytes[..HEAD].copy_from_slice(&head);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.bytes).unwrap();
        Sections::of(file).unwrap()
    }
}
