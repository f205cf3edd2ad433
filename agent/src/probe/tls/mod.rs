//! TLS libraries, in which plain bytes are seen before and after the cipher.
//!
//! In: a process and its files, or the folders where libraries are. Out: a [`Part`] for each library
//! that is found, by name or, in the program itself, by its symbols. A part is probed once per file,
//! for every process that uses it now or later. That a process has mapped one later is told by the kernel
//! (`probe/mappings.rs`). One file per family of libraries.

mod gnutls;
mod openssl;
mod rustls;

use super::runtime::{Part, Site, at_return};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::{FileId, Mapping, entries};
use crate::discovery::procs::Proc;
use crate::discovery::remembered::Remembered;
use crate::discovery::symbols::{self, Symbol};
use memchr::memmem;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that are remembered.
const FILES: usize = 4096;

/// A file in which a TLS library is, or may be.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its name and, if it tells one, its version: `OpenSSL 3.0.19`.
    pub name: String,
    /// As the process names it.
    pub path: String,
    /// Where it is probed, or why not.
    pub part: Result<Part, String>,
    /// It is surely within that file: texts of others may be of a library that is mapped beside it.
    within: bool,
}

/// What was found out about a file.
#[derive(Clone)]
enum Found {
    /// Probes go here.
    Here(Sites),
    /// It holds such a library, or is linked to one, out of reach.
    Hidden(String),
    /// It holds one itself, out of reach.
    Within(String),
    /// Nothing of the kind.
    Nothing,
}

/// Places of probes in a library.
#[derive(Clone)]
struct Sites {
    name: String,
    sites: Arc<[Site]>,
    /// As in [`Part::cookie`].
    cookie: u64,
}

/// Finds libraries; remembers files.
pub struct Finder {
    files: Remembered<Found>,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            files: Remembered::new(FILES),
        }
    }
}

/// What a file is looked at for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is named like a TLS library.
    Library,
    /// A program, which may have one of its own.
    Program,
}

/// Beginnings of names of libraries that hold TLS, their own or a copy of another's.
const NAMES: &[&str] = &[
    "libssl.so",
    "libssl-",
    "libssl.",
    "libgnutls.so",
    "libgnutls-",
    "libboringssl",
    "libnetty_tcnative",
    "libconscrypt",
    "_ssl.",
    "cygrpc.",
];

/// Wrappers around GnuTLS, without any of its own.
const WRAPPERS: &[&str] = &["libgnutls-openssl.", "libgnutls-dane."];

/// Where libraries are, below the root of the host.
const FOLDERS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib64",
    "usr/lib64",
    "usr/lib",
    "usr/local/lib",
    "usr/local/lib64",
    "usr/local/ssl/lib",
];

impl Finder {
    /// Libraries in the standard folders of the host: programs that live for a moment use them.
    pub fn standard(&mut self, proc: &Proc) -> Vec<Library> {
        // Of the host, from within a container that sees its processes; else of this process.
        let root = proc.path(1, "root");
        let root = if fs::read_dir(&root).is_ok() {
            root
        } else {
            PathBuf::from("/")
        };
        let mut found: Vec<Library> = Vec::new();
        for folder in FOLDERS {
            for (file, path) in entries(&root.join(folder), names_library) {
                let known = found
                    .iter()
                    .filter_map(|library| library.part.as_ref().ok());
                if known.clone().any(|part| part.file == file) {
                    continue;
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let shown = format!("/{folder}/{name}");
                let library = self.library(file, &path, shown, Kind::Library);
                found.extend(library.ok().flatten());
            }
        }
        found
    }

    /// Libraries among the files `maps` of process `tgid`, and its own.
    pub fn of_process(&mut self, proc: &Proc, tgid: u32, maps: &[Mapping]) -> Vec<Library> {
        let all = maps.iter().enumerate().filter_map(|(index, mapping)| {
            let kind = if names_library(mapping.name()) {
                Kind::Library
            } else if index == 0 {
                Kind::Program
            } else {
                return None;
            };
            let path = mapping.host_path(proc, tgid);
            let found = self.library(mapping.file, &path, mapping.path.clone(), kind);
            let found = found.or_else(|_| {
                // It may have been removed in this moment.
                let path = mapping.host_path(proc, tgid);
                self.library(mapping.file, &path, mapping.path.clone(), kind)
            });
            found.unwrap_or_else(|why| {
                let hidden = || hides(mapping.path.clone(), mapping.blame(why), false);
                (kind == Kind::Library).then(hidden)
            })
        });
        let mut all: Vec<Library> = all.collect();
        // A program that is linked to a library names it, too.
        if all.iter().any(|known| known.part.is_ok()) {
            all.retain(|known| known.part.is_ok() || known.within);
        }
        all
    }

    fn library(
        &mut self,
        file: FileId,
        path: &Path,
        shown: String,
        kind: Kind,
    ) -> Result<Option<Library>, String> {
        let found = self.files.look(file, path, |file| look(file, path, kind));
        Ok(match found? {
            Found::Here(sites) => Some(Library {
                name: sites.name.clone(),
                path: shown,
                part: Ok(sites.part(file, path.to_owned())),
                within: true,
            }),
            Found::Hidden(why) => Some(hides(shown, why, false)),
            Found::Within(why) => Some(hides(shown, why, true)),
            Found::Nothing => None,
        })
    }
}

/// A library at `path` that is out of reach.
fn hides(path: String, why: String, within: bool) -> Library {
    Library {
        name: "TLS".to_owned(),
        path,
        part: Err(why),
        within,
    }
}

impl Sites {
    fn part(&self, file: FileId, path: PathBuf) -> Part {
        Part {
            file,
            path,
            sites: Arc::clone(&self.sites),
            own: false,
            cookie: self.cookie,
        }
    }
}

/// Is a file of this name, without its folder, looked at for a TLS library?
#[must_use]
pub fn names_library(name: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|with| name.starts_with(with));
    begins(NAMES) && name.contains(".so") && !begins(WRAPPERS)
}

/// What programs with rustls say of themselves.
const RUSTLS: &str = "rustls";

/// Looks for a TLS library in one file; answers how many places it would be probed at.
#[must_use]
pub fn examine(sections: &Sections) -> usize {
    let kinds = [Kind::Library, Kind::Program];
    let all = kinds.map(|kind| match within(sections, Path::new(""), kind) {
        Found::Here(sites) => sites.sites.len(),
        Found::Hidden(_) | Found::Within(_) | Found::Nothing => 0,
    });
    all.iter().sum()
}

fn look(file: File, path: &Path, kind: Kind) -> Found {
    match Sections::of(file) {
        Some(sections) => within(&sections, path, kind),
        None => Found::Nothing,
    }
}

fn within(sections: &Sections, path: &Path, kind: Kind) -> Found {
    let wanted: Vec<&str> = [openssl::NAMES, gnutls::NAMES].concat();
    let found = symbols::find(sections, &wanted);
    let library = openssl::look(sections, &found, path).or_else(|| gnutls::look(sections, &found));
    let linked = (kind == Kind::Program).then(|| rustls::look(sections));
    if let Some(sites) = both(library, linked.flatten()) {
        return Found::Here(sites);
    }
    match (kind, hidden(sections)) {
        (Kind::Library, _) if found.is_empty() => {
            Found::Hidden("its functions have no names".to_owned())
        }
        (Kind::Program, Some(mark)) => {
            let why = format!(
                "it holds {mark}, whose functions have no names: a build with its symbols is understood"
            );
            // Rust's libraries are linked into the program, always.
            if mark == RUSTLS {
                Found::Within(why)
            } else {
                Found::Hidden(why)
            }
        }
        _ => Found::Nothing,
    }
}

/// What is probed in a program that may hold two libraries.
fn both(one: Option<Sites>, other: Option<Sites>) -> Option<Sites> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Sites {
            name: format!("{} and {}", one.name, other.name),
            sites: one
                .sites
                .iter()
                .chain(other.sites.iter())
                .cloned()
                .collect(),
            // Of the other nothing needs to be told.
            cookie: one.cookie,
        }),
        (one, other) => one.or(other),
    }
}

/// Most bytes of constants that are searched, and at a time.
const CONSTANTS: u64 = 64 * 1024 * 1024;
const WINDOW: usize = 1024 * 1024;

/// A TLS library that only its texts tell of.
fn hidden(sections: &Sections) -> Option<&'static str> {
    const MARKS: [(&[u8], &str); 5] = [
        (RUSTLS.as_bytes(), RUSTLS),
        (b"OpenSSL 1.1.", "OpenSSL 1.1"),
        (b"OpenSSL 3.", "OpenSSL 3"),
        (b"LibreSSL ", "LibreSSL"),
        (b"BoringSSL", "BoringSSL"),
    ];
    let section = sections.section(".rodata")?;
    let end = section.offset.checked_add(section.len.min(CONSTANTS))?;
    let mut at = section.offset;
    while at < end {
        let len = usize::try_from(end - at).ok()?.min(WINDOW);
        let window = sections.bytes(at, len);
        let found = MARKS
            .iter()
            .find(|(mark, _)| memmem::find(&window, mark).is_some());
        if let Some((_, name)) = found {
            return Some(name);
        }
        if window.len() < len {
            break;
        }
        at += len as u64;
    }
    None
}

/// Both probes of a function, in one place: at its beginning `entry`, and at its return `back`.
fn call(
    sections: &Sections,
    address: u64,
    entry: &'static str,
    back: &'static str,
) -> Option<[Site; 2]> {
    let function = Symbol { address, size: 0 };
    let back = at_return(sections, function, back)?;
    let entry = Site {
        program: entry,
        returns: false,
        ..back
    };
    Some([entry, back])
}

impl Mapping {
    /// The last part of its path.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::mapping::mappings;

    #[test]
    fn libraries_are_known_by_their_names() {
        for (name, library) in [
            ("libssl.so.3", true),
            ("libssl.so.1.1", true),
            ("libssl-81ffa89e.so.3", true),
            ("libgnutls.so.30.34.3", true),
            ("libgnutls-openssl.so.27", false),
            ("libssl3.so", false),
            ("libssl.a", false),
            ("libnetty_tcnative_linux_x86_643871.so", true),
            ("_ssl.cpython-311-x86_64-linux-gnu.so", true),
            ("libc.so.6", false),
        ] {
            assert_eq!(names_library(name), library, "{name}");
        }
    }

    #[test]
    fn a_library_without_tls_is_none() {
        // The C library.
        let proc = Proc::at("/proc");
        let maps = mappings(&proc, std::process::id());
        let own = maps.iter().find(|own| own.path.ends_with("/libc.so.6"));
        let path = Path::new(&own.unwrap().path);
        let found = |path| look(File::open(path).unwrap(), path, Kind::Program);
        assert!(matches!(found(path), Found::Nothing));
        let library = look(File::open(path).unwrap(), path, Kind::Library);
        assert!(matches!(library, Found::Hidden(_)));
        assert!(matches!(found(Path::new("/etc/passwd")), Found::Nothing));
    }
}
