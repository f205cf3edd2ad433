//! Marks that compilers leave in executables.
//!
//! In: an open executable. Out: [`GoBuild`], the version of rustc. Not here: symbols.
//!
//! Only headers and the named sections are read, each by its offset and with a bound, so that a
//! large binary costs what a small one costs. Files of the agent's own byte order and of 64 bits
//! are understood; others have no marks.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most sections that are looked at.
const SECTIONS: usize = 4096;
/// Most bytes of the section names.
const NAME_BYTES: usize = 64 * 1024;
/// Most bytes of a section that is read.
const SECTION_BYTES: usize = 64 * 1024;
/// Most bytes of a section's name: those that are looked for are short.
const NAME: usize = 64;
/// Bytes of one section header.
const HEADER: usize = 64;
/// Most program headers that are looked at, and bytes of each.
const SEGMENTS: usize = 256;
const SEGMENT: usize = 56;
/// Most of them that are loaded.
const LOADED: usize = 64;
/// Most bytes that are read at once.
const WINDOW: usize = 4 * 1024 * 1024;
/// Head of Go's build information.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// Go: numbers are big-endian; the strings follow the head (Go 1.18 and later).
const GO_BIG: u8 = 1;
const GO_INLINE: u8 = 2;
/// Go: offsets of the addresses of the strings before, offset of the strings themselves since, and
/// length of the marks around the module's description.
const GO_ADDRESSES: [usize; 2] = [16, 24];
const GO_STRINGS: usize = 32;
const GO_SENTINEL: usize = 16;

/// Where the sections of an executable are.
pub struct Sections {
    file: File,
    found: Vec<Section>,
    /// Loaded parts of the file: address, offset, length.
    loaded: Vec<[u64; 3]>,
    /// Length and alignment of the thread-local block.
    thread_local: Option<[u64; 2]>,
}

/// A part of an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Such as `.text`.
    pub name: String,
    /// Where it is loaded, 0 when it is not.
    pub address: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes of it in the file.
    pub len: u64,
}

/// What Go writes about a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoBuild {
    /// Version of Go, such as `go1.24.1`.
    pub version: String,
    /// Import path of the main package.
    pub path: String,
    /// Path of the main module.
    pub module: String,
    /// Version of the main module.
    pub module_version: String,
}

impl Sections {
    /// Reads the section headers of `file`; `None` when it is no executable of this machine.
    #[must_use]
    pub fn of(file: File) -> Option<Self> {
        let head = read(&file, 0, 64)?;
        let class = if cfg!(target_endian = "little") { 1 } else { 2 };
        if head.get(..6)? != [0x7f, b'E', b'L', b'F', 2, class] {
            return None;
        }
        let table = u64_at(&head, 40)?;
        let size = usize::from(u16_at(&head, 58)?);
        let count = usize::from(u16_at(&head, 60)?).min(SECTIONS);
        let names = usize::from(u16_at(&head, 62)?);
        if size != HEADER {
            return None;
        }
        let headers = read(&file, table, count.checked_mul(HEADER)?)?;
        let header = |index: usize| headers.get(index * HEADER..(index + 1) * HEADER);
        let extent = |header: &[u8]| Some((u64_at(header, 24)?, u64_at(header, 32)?));
        let (offset, len) = extent(header(names)?)?;
        let loaded = segments(&file, &head).unwrap_or_default();
        let thread_local = thread_local_block(&file, &head);
        let names = read(&file, offset, usize::try_from(len).ok()?.min(NAME_BYTES))?;
        let section = |index| {
            let header = header(index)?;
            let name = names.get(usize::try_from(u32_at(header, 0)?).ok()?..)?;
            let name = name.get(..NAME).unwrap_or(name);
            let name = name.split(|byte| *byte == 0).next()?;
            let (offset, len) = extent(header)?;
            // `SHT_NOBITS` has no bytes in the file.
            let len = if u32_at(header, 4)? == 8 { 0 } else { len };
            Some(Section {
                name: String::from_utf8_lossy(name).into_owned(),
                address: u64_at(header, 16)?,
                offset,
                len,
            })
        };
        let found = (0..count).filter_map(section).collect();
        Some(Self {
            file,
            found,
            loaded,
            thread_local,
        })
    }

    /// Section `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.found.iter().find(|section| section.name == name)
    }

    /// Where the byte that is loaded at `address` stands in the file.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.loaded.iter().find_map(|[start, offset, len]| {
            let inside = address.checked_sub(*start)?;
            (inside < *len).then(|| offset.checked_add(inside))?
        })
    }

    /// Lowest address that is loaded: what a position-independent file is moved by, is counted
    /// from there.
    #[must_use]
    pub fn lowest(&self) -> u64 {
        let starts = self.loaded.iter().map(|[start, ..]| *start);
        starts.min().unwrap_or(0)
    }

    /// How far from the thread pointer a thread-local variable of the program itself stands, whose
    /// symbol has this value (ELF TLS, variant II: the program's block ends at the pointer).
    #[must_use]
    pub fn from_thread_pointer(&self, value: u64) -> Option<i64> {
        let [len, align] = self.thread_local?;
        let block = len.checked_next_multiple_of(align.max(1))?;
        i64::try_from(value)
            .ok()?
            .checked_sub(i64::try_from(block).ok()?)
    }

    /// `len` bytes of the file at `offset`; fewer at its end.
    #[must_use]
    pub fn bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.min(WINDOW)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self
                .file
                .read_at(&mut bytes[filled..], offset.saturating_add(filled as u64))
            {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// The beginning of section `name`.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<Vec<u8>> {
        let section = self.section(name)?;
        let len = usize::try_from(section.len).ok()?.min(SECTION_BYTES);
        read(&self.file, section.offset, len)
    }

    /// What Go wrote about the build, when Go built it.
    #[must_use]
    pub fn go(&self) -> Option<GoBuild> {
        let section = self.head(".go.buildinfo")?;
        let mut build = GoBuild::parse(&section)?;
        if let Some([version, description]) = GoBuild::addresses(&section) {
            build.fill(&self.go_string(version), &self.go_string(description));
        }
        Some(build)
    }

    /// A variable of Go's type `string`, as the file has it: address, length. Empty where only the
    /// dynamic linker knows the address.
    fn go_string(&self, address: u64) -> Vec<u8> {
        let words = self.file_offset(address).map(|at| self.bytes(at, 16));
        let text = words.and_then(|words| {
            let len = usize::try_from(u64_at(&words, 8)?).ok()?;
            let at = self.file_offset(u64_at(&words, 0)?)?;
            Some(self.bytes(at, len.min(SECTION_BYTES)))
        });
        text.unwrap_or_default()
    }

    /// Version of the rustc that built it, when one did.
    #[must_use]
    pub fn rustc(&self) -> Option<String> {
        let comment = self.head(".comment")?;
        let text = String::from_utf8_lossy(&comment);
        let (_, after) = text.split_once("rustc version ")?;
        let version = after.split([' ', '\0']).next()?;
        Some(version.to_owned())
    }
}

impl GoBuild {
    /// Reads the section `.go.buildinfo`; `None` when it is none. Empty where it only tells where
    /// the strings are.
    #[must_use]
    pub fn parse(section: &[u8]) -> Option<Self> {
        if !section.starts_with(GO_MAGIC) {
            return None;
        }
        let mut build = Self::default();
        if section.get(15)? & GO_INLINE == 0 {
            return Some(build);
        }
        let strings = section.get(GO_STRINGS..)?;
        if let Some((version, rest)) = string(strings) {
            build.fill(version, string(rest).unwrap_or_default().0);
        }
        Some(build)
    }

    /// Addresses of the variables that hold version and description (before Go 1.18).
    fn addresses(section: &[u8]) -> Option<[u64; 2]> {
        let big = if cfg!(target_endian = "big") {
            GO_BIG
        } else {
            0
        };
        if section.get(14..16)? != [8, big] {
            return None;
        }
        let [version, description] = GO_ADDRESSES.map(|at| u64_at(section, at));
        Some([version?, description?])
    }

    fn fill(&mut self, version: &[u8], description: &[u8]) {
        self.version = String::from_utf8_lossy(version).into_owned();
        if let Some(lines) = description.get(GO_SENTINEL..) {
            self.describe(&String::from_utf8_lossy(lines));
        }
    }

    fn describe(&mut self, lines: &str) {
        for line in lines.lines() {
            let mut fields = line.split('\t');
            match (fields.next(), fields.next()) {
                (Some("path"), Some(path)) => path.clone_into(&mut self.path),
                (Some("mod"), Some(module)) => {
                    module.clone_into(&mut self.module);
                    fields
                        .next()
                        .unwrap_or_default()
                        .clone_into(&mut self.module_version);
                }
                // Dependencies and settings follow.
                (Some("dep"), _) => break,
                _ => {}
            }
        }
    }
}

/// A string after its length as a varint, and what follows it. One that is cut is as long as
/// what is there.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0_usize;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..)?;
            return Some(rest.split_at(len.min(rest.len())));
        }
    }
    None
}

/// The program headers of type `PT_LOAD`: address, offset, length in the file.
fn segments(file: &File, head: &[u8]) -> Option<Vec<[u64; 3]>> {
    let headers = program_headers(file, head)?;
    let loaded = headers.chunks_exact(SEGMENT).filter_map(|header| {
        let [offset, address, len] = [8, 16, 32].map(|at| u64_at(header, at));
        (u32_at(header, 0)? == 1).then_some([address?, offset?, len?])
    });
    Some(loaded.take(LOADED).collect())
}

/// Length and alignment of the segment `PT_TLS`.
fn thread_local_block(file: &File, head: &[u8]) -> Option<[u64; 2]> {
    let headers = program_headers(file, head)?;
    headers.chunks_exact(SEGMENT).find_map(|header| {
        let [len, align] = [40, 48].map(|at| u64_at(header, at));
        (u32_at(header, 0)? == 7).then_some([len?, align?])
    })
}

fn program_headers(file: &File, head: &[u8]) -> Option<Vec<u8>> {
    let table = u64_at(head, 32)?;
    let count = usize::from(u16_at(head, 56)?).min(SEGMENTS);
    if usize::from(u16_at(head, 54)?) != SEGMENT {
        return None;
    }
    read(file, table, count * SEGMENT)
}

fn read(file: &File, offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn section(flags: u8, version: &str, description: &str) -> Vec<u8> {
        let mut bytes = GO_MAGIC.to_vec();
        bytes.extend([8, flags]);
        bytes.resize(GO_STRINGS, 0);
        bytes.push(u8::try_from(version.len()).unwrap());
        bytes.extend(version.bytes());
        let len = description.len() + 2 * GO_SENTINEL;
        bytes.extend([u8::try_from(len & 0x7f).unwrap() | 0x80]);
        bytes.push(u8::try_from(len >> 7).unwrap());
        bytes.extend([b'>'; GO_SENTINEL]);
        bytes.extend(description.bytes());
        bytes.extend([b'<'; GO_SENTINEL]);
        bytes
    }

    #[test]
    fn go_build_information() {
        let lines = "path\tacme.dev/shop/cmd/cart\nmod\tacme.dev/shop\tv1.4.0\th1:x=\n\
                     dep\tacme.dev/other\tv9.9.9\nmod\tnot.this/one\tv0\n";
        let bytes = section(GO_INLINE, "go1.24.1", lines);
        let build = GoBuild::parse(&bytes).unwrap();
        assert_eq!(build.version, "go1.24.1");
        assert_eq!(build.path, "acme.dev/shop/cmd/cart");
        assert_eq!(build.module, "acme.dev/shop");
        assert_eq!(build.module_version, "v1.4.0");

        let old = GoBuild::parse(&section(0, "go1.17", "")).unwrap();
        assert_eq!(old, GoBuild::default(), "the strings are elsewhere");
        for cut in 0..bytes.len() {
            // Every prefix is either refused or gives a prefix of the truth.
            if let Some(build) = GoBuild::parse(&bytes[..cut]) {
                assert!("acme.dev/shop".starts_with(&build.module), "cut at {cut}");
            }
        }
    }

    #[test]
    fn go_told_where_the_strings_are() {
        for (width, flags, expected) in [
            (8, 0, Some([0x4000, 0x5000])),
            (4, 0, None),
            (8, GO_BIG, None),
            (8, GO_INLINE, None),
        ] {
            let mut bytes = GO_MAGIC.to_vec();
            bytes.extend([width, flags]);
            bytes.extend([0x4000_u64, 0x5000].map(u64::to_ne_bytes).concat());
            assert_eq!(GoBuild::addresses(&bytes), expected, "{width} {flags}");
            for cut in 0..bytes.len() {
                assert_eq!(GoBuild::addresses(&bytes[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn go_strings_that_are_elsewhere() {
        let module = "0123456789abcdefpath\tacme.dev/cart\n";
        let mut image = crate::discovery::elf_fixture::Image::new();
        let mut variable = |text: &str, moved: u64| {
            let from = image.at();
            image.bytes.extend(text.bytes());
            let at = image.at();
            image.word(from + moved);
            image.word(text.len() as u64);
            at
        };
        let (version, description) = (variable("go1.17.13", 0), variable(module, 0));
        let nowhere = variable("go1.17.13", 1 << 40);
        for (first, expected) in [
            (version, "go1.17.13"),
            (nowhere, ""),
            (0, ""),
            (u64::MAX, ""),
        ] {
            let mut image = image.clone();
            let from = image.at();
            image.bytes.extend(GO_MAGIC);
            image.bytes.extend([8, 0]);
            image.word(first);
            image.word(description);
            image.section(".go.buildinfo", from);
            let build = image.sections().go().unwrap();
            assert_eq!(build.version, expected);
            assert_eq!(build.path, "acme.dev/cart");
        }
    }

    #[test]
    fn own_executable_is_of_rustc() {
        let file = File::open("/proc/self/exe").unwrap();
        let sections = Sections::of(file).unwrap();
        assert!(sections.go().is_none());
        assert!(sections.rustc().unwrap().starts_with("1."));
    }

    #[test]
    fn garbage_is_no_executable() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let mut hostile = own[..64].to_vec();
        for byte in &mut hostile[40..64] {
            *byte = 0xff;
        }
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &own[..64], &hostile] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            assert!(Sections::of(file).is_none());
        }
    }
}
