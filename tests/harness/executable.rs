//! Executables made of arbitrary bytes, for fuzzing and random tests.
//!
//! In: bytes of a fuzzer or a random generator. They decide about sections, symbols, tables of
//! functions, code, and about numbers that lie. Out: nothing, or a panic of what looks into them.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use weft::discovery::elf::Sections;
use weft::discovery::pointers::Pointers;
use weft::discovery::procs::Process;
use weft::discovery::{pclntab, symbols};
use weft::probe::{runtime, tls};

/// Names that are looked for, and one that others end with.
const NAMES: &[&str] = &[
    "_PyRuntime",
    "PyContext_CopyCurrent",
    "Py_Version",
    "_ZL21g_thread_state_global",
    "__pyx_f_6uvloop_4loop_8UVStream__buffer_write",
    "_ZN5tokio7runtime4task4core11TaskIdGuard5enter17h0123456789abcdefE",
    "_ZN5tokio7runtime10task_hooks9TaskHooks5spawn17h0123456789abcdefE",
    "th_ctx",
    "run_tasks_from_lists",
    "SSL_read",
    "SSL_read_ex",
    "SSL_write",
    "SSL_write_ex",
    "SSL_do_handshake",
    "SSL_new",
    "SSL_get_client_random",
    "gnutls_record_send",
    "gnutls_record_recv",
    "runtime.newproc.func1",
    "runtime.runqput",
    "net/http.serverHandler.ServeHTTP",
    "net/http.(*persistConn).roundTrip",
    "get_nowait",
    "greenlet.greenlet",
    "main",
];

/// Sections that are looked at.
const SECTIONS: &[&str] = &[
    ".symtab",
    ".strtab",
    ".dynsym",
    ".dynstr",
    ".gopclntab",
    ".go.buildinfo",
    ".go.module",
    ".comment",
    ".data",
    ".data.rel.ro",
    ".rela.dyn",
    ".rodata",
    ".text",
    ".typelink",
    ".noptrdata",
];

/// Where the file is loaded.
const BASE: u64 = 0x40_0000;
/// Most bytes of a section.
const CONTENT: usize = 4096;
/// Instructions that are looked for in code, and some between them.
const CODE: &[&[u8]] = &[
    b"\x55",
    b"\xf3\x0f\x1e\xfa",
    b"\xe8\x07\0\0\0",
    b"\x48\x85\xc0",
    b"\x0f\x84\0\0\0\0",
    b"\xff\x90\x38\x01\0\0",
    b"\x49\x89\xc4",
    b"\x64\x48\x89\x3c\x25\xf8\xff\xff\xff",
    b"\x64\x48\x8b\x04\x25\0\0\0\0",
    b"\x48\x8d\xb7\x60\x01\0\0",
    b"\x75\xf1",
    b"\xc3",
];

/// Bytes that decide, read once each; zeros behind their end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % end.max(1)
    }

    /// A number, true or not.
    fn number(&mut self, len: usize) -> u64 {
        let len = len as u64;
        match self.byte() % 12 {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MAX.cast_unsigned(),
            3 => u64::from(u32::MAX),
            4 => len,
            5 => BASE,
            6 => BASE + len,
            7 => 1 << 40,
            8 => u64::MAX - u64::from(self.byte()),
            9 => u64::from(self.byte()),
            _ => BASE + self.below(usize::from(u16::MAX)) as u64,
        }
    }
}

/// An executable that `data` decides about.
#[must_use]
pub fn executable(data: &[u8]) -> Vec<u8> {
    let mut choices = Choices(data);
    let mut out = vec![0; 64 + 2 * 56];
    let mut headers = vec![0; 64];
    let mut names = vec![0];
    let count = choices.below(SECTIONS.len() + 4);
    for _ in 0..count {
        let Some(name) = SECTIONS.get(choices.below(SECTIONS.len())) else {
            continue;
        };
        let content = content(name, &mut choices);
        headers.extend(header(names.len(), &content, out.len()));
        names.extend(name.bytes().chain([0]));
        out.extend(content);
    }
    headers.extend(header(names.len(), &names, out.len()));
    names.extend(b".shstrtab\0");
    out.extend(&names);
    let table = out.len() as u64;
    out.extend(&headers);
    let sections = headers.len() / 64;
    head(&mut out, table, sections);
    // Numbers that lie, anywhere.
    while !choices.0.is_empty() {
        let value = choices.number(out.len()).to_le_bytes();
        let (at, width) = (choices.below(out.len()), choices.below(9));
        out.iter_mut()
            .skip(at)
            .zip(value)
            .take(width)
            .for_each(|(to, byte)| *to = byte);
    }
    out
}

fn head(out: &mut [u8], table: u64, sections: usize) {
    let len = out.len() as u64;
    let mut put = |at: usize, bytes: &[u8]| {
        out.iter_mut()
            .skip(at)
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
    };
    put(0, b"\x7fELF\x02\x01\x01");
    put(32, &64_u64.to_le_bytes());
    put(40, &table.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &2_u16.to_le_bytes());
    put(58, &64_u16.to_le_bytes());
    put(60, &(sections as u16).to_le_bytes());
    put(62, &(sections.saturating_sub(1) as u16).to_le_bytes());
    // All of the file is loaded; and there is a thread-local block.
    put(64, &1_u32.to_le_bytes());
    put(64 + 16, &BASE.to_le_bytes());
    put(64 + 32, &len.to_le_bytes());
    put(120, &7_u32.to_le_bytes());
    put(120 + 40, &256_u64.to_le_bytes());
    put(120 + 48, &8_u64.to_le_bytes());
}

fn header(name: usize, content: &[u8], offset: usize) -> [u8; 64] {
    let mut header = [0; 64];
    let mut put = |at: usize, bytes: &[u8]| {
        header
            .iter_mut()
            .skip(at)
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
    };
    put(0, &(name as u32).to_le_bytes());
    put(4, &1_u32.to_le_bytes());
    put(16, &(BASE + offset as u64).to_le_bytes());
    put(24, &(offset as u64).to_le_bytes());
    put(32, &(content.len() as u64).to_le_bytes());
    header
}

fn content(name: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match name {
        ".strtab" | ".dynstr" | ".rodata" => {
            out.push(0);
            for _ in 0..choices.below(32) {
                let name = NAMES.get(choices.below(NAMES.len())).unwrap_or(&"main");
                out.extend(name.bytes().chain([0]));
            }
        }
        ".symtab" | ".dynsym" => {
            for _ in 0..choices.below(32) {
                out.extend((choices.below(512) as u32).to_le_bytes());
                out.extend([1, 0, 1, 0]);
                out.extend(choices.number(1024).to_le_bytes());
                out.extend(choices.number(1024).to_le_bytes());
            }
        }
        ".text" => {
            for _ in 0..choices.below(64) {
                out.extend_from_slice(CODE.get(choices.below(CODE.len())).unwrap_or(&&b"\x90"[..]));
            }
        }
        ".gopclntab" => functions(choices, &mut out),
        ".go.buildinfo" => {
            out.extend(b"\xff Go buildinf:\x08");
            // Strings that follow, or addresses of such.
            if choices.byte() & 3 == 0 {
                out.push(0);
                out.extend(choices.number(4096).to_le_bytes());
                out.extend(choices.number(4096).to_le_bytes());
            } else {
                out.push(2);
                out.resize(32, 0);
                out.extend(b"\x08go1.");
                out.push(b'1' + choices.byte() % 2);
                out.push(b'0' + choices.byte() % 10);
                out.push(b'.');
            }
        }
        ".comment" => out.extend(b"rustc version 1.90.0\0"),
        _ => {
            for _ in 0..choices.below(64) {
                out.extend(choices.number(1024).to_le_bytes());
            }
        }
    }
    if choices.byte() & 7 == 0 {
        let len = choices.below(CONTENT).min(choices.0.len());
        let (raw, rest) = choices.0.split_at(len);
        out.extend(raw);
        choices.0 = rest;
    }
    out.truncate(CONTENT);
    out
}

/// A table of program counters: its head, names, and functions with their descriptions.
fn functions(choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let old = choices.byte() & 3 == 0;
    let count = choices.below(16);
    let mut names = vec![0];
    let mut places = Vec::new();
    for _ in 0..count {
        let name = NAMES.get(choices.below(NAMES.len())).unwrap_or(&"main");
        places.push(names.len() as u32);
        names.extend(name.bytes().chain([0]));
    }
    // Numbers of a function: distances of 4 bytes, or addresses of 8 before Go 1.18.
    let (head, width) = if old { (64, 8) } else { (72, 4) };
    let entries = (head + names.len()) as u64;
    let magic: u32 = if old { 0xffff_fffa } else { 0xffff_fff1 };
    out.extend(magic.to_le_bytes());
    out.extend([0, 0, 1, 8]);
    let text = (!old).then(|| choices.number(1024));
    let mut words = vec![count as u64, 0];
    words.extend(text);
    words.extend([head as u64, 0, 0, 0, entries]);
    for word in words {
        out.extend(word.to_le_bytes());
    }
    out.extend(names);
    let base = if old { BASE } else { 0 };
    let mut number = |number: u64| out.extend(&number.to_le_bytes()[..width]);
    for index in 0..count {
        number(base + choices.below(4096) as u64);
        number(((count + 1) * 2 * width + index * (width + 4)) as u64);
    }
    number(0);
    number(0);
    for place in places {
        out.extend(&[0; 8][..width]);
        out.extend(place.to_le_bytes());
    }
}

/// A file that is written again and again, and who is said to run it.
pub struct Bench {
    file: File,
    process: Process,
}

impl Bench {
    /// An empty file.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("weft-executable-{}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        std::fs::remove_file(&path)?;
        let process = Process::default();
        Ok(Self { file, process })
    }

    /// Looks for everything in a file of these bytes, which is as long as `len`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn examine(&self, bytes: &[u8], len: u64) -> Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(bytes, 0)?;
        self.file.set_len(len)?;
        let Some(sections) = Sections::of(self.file.try_clone()?) else {
            return Ok(());
        };
        let _ = (sections.go(), sections.rustc(), sections.lowest());
        let found = symbols::find(&sections, NAMES);
        for symbol in found.values() {
            let _ = sections.from_thread_pointer(symbol.address);
        }
        let _ = symbols::containing(&sections, &["TaskIdGuard5enter", "main"]);
        let _ = pclntab::find(&sections, NAMES);
        let pointers = Pointers::of(&sections);
        for place in pointers.places(&sections, "get_nowait") {
            let _ = pointers.text(&sections, place);
        }
        let _ = runtime::examine(&sections, &self.process);
        let _ = tls::examine(&sections);
        Ok(())
    }
}
