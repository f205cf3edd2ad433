//! How the tasks of a process are named, and where they make and hand work to each other.
//!
//! In: a process and its files. Out: a [`Plan`] for the kernel side. One file per runtime; each
//! finds what it needs in the binary itself (symbols, tables of the runtime), and has a reason
//! when it does not.

mod go;
mod node;
mod python;

use super::site;
use crate::discovery::elf::Sections;
use crate::discovery::mapping::{FileId, Mapping, Region, mappings, regions};
use crate::discovery::procs::{Proc, Process};
use crate::discovery::symbols::Symbol;
use crate::metadata;
use agent_common::runtime::Runtime;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Files whose plans are remembered.
const FILES: usize = 1024;

/// What the kernel side is told of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How its tasks are named.
    pub runtime: Runtime,
    /// Where probes are put, in this file.
    pub file: FileId,
    /// The file as this process can open it now.
    pub path: PathBuf,
    /// Those places.
    pub sites: Arc<[Site]>,
    /// They are probed in this process alone, and only all of them together mean something.
    pub own: bool,
}

/// Where a probe is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Program in the kernel object.
    pub program: &'static str,
    /// Offset in the file.
    pub offset: u64,
}

/// Why a process has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is known to look for in this runtime.
    None,
    /// The library is not mapped yet: ask again.
    Early,
    /// This build lacks something.
    Unknown(String),
}

/// What was found out about a file, before it is placed in a process.
#[derive(Clone)]
struct Found {
    /// Addresses in it are relative to where it is loaded.
    runtime: Runtime,
    sites: Arc<[Site]>,
    /// Indices of [`Runtime::at`] that are addresses in the file.
    addresses: &'static [usize],
    /// Lowest address of the file as linked.
    lowest: u64,
    /// As in [`Plan`].
    own: bool,
}

/// A runtime's way to find out.
struct Way {
    /// Is this the library that holds the runtime, where not the program itself does?
    library: Option<fn(&Mapping) -> bool>,
    /// What is in it.
    look: fn(&Sections, &Process) -> Result<Found, String>,
    /// May the process be probed as it has its memory now?
    ready: Option<fn(&Mapping, &[Region]) -> Result<(), Refusal>>,
}

/// Makes plans; remembers files.
#[derive(Default)]
pub struct Planner {
    files: HashMap<FileId, Result<Found, String>>,
}

impl Planner {
    /// The plan for `process`, which runs `runtime`.
    ///
    /// # Errors
    /// When there is none, with the reason.
    pub fn plan(
        &mut self,
        proc: &Proc,
        process: &Process,
        runtime: metadata::Runtime,
    ) -> Result<Plan, Refusal> {
        let way = match runtime {
            metadata::Runtime::Go => go::WAY,
            metadata::Runtime::Python => python::WAY,
            metadata::Runtime::Node => node::WAY,
            _ => return Err(Refusal::None),
        };
        let maps = mappings(proc, process.tgid);
        let library = way
            .library
            .and_then(|is| maps.iter().find(|mapping| is(mapping)));
        // The program itself is mapped first.
        let mapping = library.or(maps.first()).ok_or(Refusal::Early)?;
        let path = mapping.host_path(proc, process.tgid);
        if self.files.len() >= FILES {
            self.files.clear();
        }
        let found = self.files.entry(mapping.file).or_insert_with(|| {
            let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let sections = Sections::of(file).ok_or("it is no executable of this machine")?;
            (way.look)(&sections, process)
        });
        match found {
            Ok(found) => {
                if let Some(ready) = way.ready {
                    ready(mapping, &regions(proc, process.tgid))?;
                }
                Ok(found.place(mapping, path))
            }
            Err(_) if way.library.is_some() && library.is_none() => Err(Refusal::Early),
            Err(why) => Err(Refusal::Unknown(why.clone())),
        }
    }
}

impl Found {
    /// Its addresses in a process that has the file mapped there.
    fn place(&self, mapping: &Mapping, path: PathBuf) -> Plan {
        let mut runtime = self.runtime;
        let moved = mapping.start.wrapping_sub(self.lowest & !0xfff);
        for index in self.addresses {
            runtime.at[*index] = runtime.at[*index].wrapping_add(moved);
        }
        Plan {
            runtime,
            file: mapping.file,
            path,
            sites: Arc::clone(&self.sites),
            own: self.own,
        }
    }
}

/// A site at the beginning of the function `symbol`, where its arguments are still there.
fn at_entry(sections: &Sections, symbol: Symbol, program: &'static str) -> Option<Site> {
    let offset = sections.file_offset(symbol.address)?;
    let skip = site::entry(&sections.bytes(offset, site::PROLOGUE));
    Some(Site {
        program,
        offset: offset + skip,
    })
}

/// A site for the return of the function `symbol`.
fn at_return(sections: &Sections, symbol: Symbol, program: &'static str) -> Option<Site> {
    let offset = sections.file_offset(symbol.address)?;
    let skip = site::before_stack(&sections.bytes(offset, site::PROLOGUE));
    Some(Site {
        program,
        offset: offset + skip,
    })
}
