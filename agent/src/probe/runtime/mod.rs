//! How the tasks of a process are named, and where they make and hand work to each other.
//!
//! In: a process and its files. Out: a [`Plan`] for the kernel side. One file per runtime; each
//! finds what it needs in the binary itself (symbols, tables of the runtime), and has a reason
//! when it does not.

mod go;
mod haproxy;
mod java;
mod nginx;
mod node;
mod python;
mod ruby;
mod switches;
mod tokio;

pub use switches::{Extent, Probed, Switches};

use super::site;
use crate::discovery::elf::Sections;
use crate::discovery::mapping::{FileId, Mapping, sibling};
use crate::discovery::procs::{Proc, Process};
use crate::discovery::remembered::Remembered;
use crate::discovery::symbols::Symbol;
use crate::metadata;
use agent_common::runtime::{FIELDS, NOWHERE, Runtime, go as at};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files whose plans are remembered.
const FILES: usize = 1024;

/// What the kernel side is told of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How its tasks are named.
    pub runtime: Runtime,
    /// The file of the runtime, then those of its modules.
    pub files: Vec<Part>,
    /// Modules that may still come: ask again.
    pub awaited: bool,
    /// What cannot be seen, and why.
    pub lacks: Vec<String>,
}

impl Plan {
    /// The same, but for these programs.
    pub(super) fn without(&self, programs: &[&str]) -> Self {
        let mut plan = self.clone();
        let stays = |site: &&Site| !programs.contains(&site.program);
        for part in &mut plan.files {
            part.sites = part.sites.iter().filter(stays).cloned().collect();
        }
        plan
    }

    /// Does it show calls of databases?
    #[must_use]
    pub fn has_database_calls(&self) -> bool {
        let mut sites = self.files.iter().flat_map(|part| part.sites.iter());
        sites.any(|site| DATABASE_CALLS.contains(&site.program))
    }

    /// Takes away what tells of tasks that hand work to each other, as far as `extent` says; the
    /// other probes stay.
    fn reduce(&mut self, probed: Probed, extent: Extent) {
        let key = probed.key();
        let (gone, why) = match extent {
            Extent::All => return,
            Extent::Calls => (
                probed.dear(),
                format!(
                    "calls of tasks that a request's own task starts are not followed: {key} is not on"
                ),
            ),
            Extent::Nothing => (
                probed.handing(),
                format!("its tasks' calls are not followed: {key} is off"),
            ),
        };
        let stays = |site: &&Site| !gone.contains(&site.program);
        for part in &mut self.files {
            part.sites = part.sites.iter().filter(stays).cloned().collect();
        }
        if probed == Probed::Go && gone.contains(&go::SERVES) {
            // None is known: looking for one at each call would be for nothing.
            self.runtime.at[at::REQUEST_CTX] = NOWHERE;
        }
        self.lacks.push(why);
    }
}

/// A file and where it is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub file: FileId,
    /// As this process can open it now.
    pub path: PathBuf,
    /// Where probes are put.
    pub sites: Arc<[Site]>,
    /// They are probed in this process alone, and only all of them together mean something.
    pub own: bool,
    /// A number that its probes are told, where the kernel can; 0 is none.
    pub cookie: u64,
}

/// Where a probe is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Program in the kernel object.
    pub program: &'static str,
    /// Offset in the file.
    pub offset: u64,
    /// The probe fires when the function there returns.
    pub returns: bool,
}

/// Why a process has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is known to look for in this runtime.
    None,
    /// The settings have it that this runtime is not probed.
    Off(Probed),
    /// The library is not mapped yet: ask again.
    Early,
    /// This build lacks something.
    Unknown(String),
}

/// Programs that show what TLS protects.
pub(super) const PLAINTEXT: &[&str] = &go::PLAINTEXT;
/// Programs that show calls of libraries that ask databases.
pub(super) const DATABASE_CALLS: &[&str] = &go::DATABASE_SQL;

/// What was found out about a file, before it is placed in a process.
#[derive(Clone)]
struct Found {
    /// Addresses in it are relative to where it is loaded. Of a module: what it adds.
    runtime: Runtime,
    sites: Arc<[Site]>,
    /// Indices of [`Runtime::at`] that are addresses in the file.
    addresses: &'static [usize],
    /// Lowest address of the file as linked.
    lowest: u64,
    /// What of it is not found.
    lacks: Option<&'static str>,
    /// As in [`Part`].
    own: bool,
}

/// Finds out what is in a file.
type Look = fn(&Sections, &Process) -> Result<Found, String>;
/// Compares what was found out with a process of this id and completes it; answers what is missing.
type Check = fn(&Proc, &[Mapping], u32, &mut Runtime) -> Result<Option<&'static str>, Refusal>;

/// A runtime's way to find out.
struct Way {
    /// Is this the library that holds the runtime, where not the program itself does?
    library: Option<fn(&Mapping) -> bool>,
    /// What is in it.
    look: Look,
    /// Libraries that a program loads when it needs them.
    modules: &'static [Module],
    /// Is the runtime of this process what the file says, and what does only the process tell?
    check: Option<Check>,
}

/// A library that holds a part of the runtime.
struct Module {
    /// How the name of its file begins.
    name: &'static str,
    /// It stands in the folder that this is a part of, loaded or not.
    beside: Option<&'static str>,
    /// What is in it.
    look: Look,
}

/// Makes plans; remembers files.
pub struct Planner {
    switches: Switches,
    files: Remembered<Result<Found, String>>,
}

impl Planner {
    /// Plans for runtimes that are on.
    #[must_use]
    pub fn new(switches: Switches) -> Self {
        Self {
            switches,
            files: Remembered::new(FILES),
        }
    }

    /// The plan for `process`, which runs `runtime` and has the files of `maps` mapped.
    ///
    /// # Errors
    /// When there is none, with the reason.
    pub fn plan(
        &mut self,
        proc: &Proc,
        process: &Process,
        maps: &[Mapping],
        runtime: metadata::Runtime,
    ) -> Result<Plan, Refusal> {
        let (probed, way) = way(runtime, process.program()).ok_or(Refusal::None)?;
        let extent = probed.map_or(Extent::All, |probed| self.switches.extent(probed));
        if let Some(off) = probed.filter(|_| extent == Extent::Nothing)
            && off.handing().is_empty()
        {
            return Err(Refusal::Off(off));
        }
        let library = way
            .library
            .and_then(|is| maps.iter().find(|mapping| is(mapping)));
        // The program itself is mapped first.
        let mapping = library.or(maps.first()).ok_or(Refusal::Early)?;
        let path = mapping.host_path(proc, process.tgid);
        let found = match self.look(mapping.file, &path, way.look, process) {
            Ok(found) => found,
            Err(_) if way.library.is_some() && library.is_none() => return Err(Refusal::Early),
            Err(why) => return Err(Refusal::Unknown(mapping.blame(why))),
        };
        let mut plan = Plan {
            runtime: found.placed(mapping.start),
            files: vec![found.part(mapping.file, path)],
            awaited: false,
            lacks: found.lacks.iter().map(|why| (*why).to_owned()).collect(),
        };
        if let Some(check) = way.check {
            let lacks = check(proc, maps, process.tgid, &mut plan.runtime)?;
            plan.lacks.extend(lacks.map(str::to_owned));
        }
        for module in way.modules {
            plan.awaited |= !self.add(&mut plan, module, proc, process, maps);
        }
        if let Some(probed) = probed {
            plan.reduce(probed, extent);
        }
        Ok(plan)
    }

    /// Completes `plan` by `module`; answers whether it is there.
    fn add(
        &mut self,
        plan: &mut Plan,
        module: &Module,
        proc: &Proc,
        process: &Process,
        maps: &[Mapping],
    ) -> bool {
        let mapped = maps.iter().find(|mapping| module.is(mapping));
        let (file, path) = match (mapped, module.beside) {
            (Some(mapping), _) => (mapping.file, mapping.host_path(proc, process.tgid)),
            (None, Some(folder)) => {
                let beside = maps.iter().find(|mapping| mapping.path.contains(folder));
                let path = beside.map(|beside| beside.host_path(proc, process.tgid));
                match path.and_then(|path| sibling(&path, module.name)) {
                    Some(found) => found,
                    None => return false,
                }
            }
            (None, None) => return false,
        };
        match self.look(file, &path, module.look, process) {
            Ok(found) => {
                if let Some(mapping) = mapped {
                    let at = found.placed(mapping.start).at;
                    let known = plan.runtime.at.iter_mut().zip(at);
                    known
                        .filter(|(_, at)| *at != NOWHERE)
                        .for_each(|(to, at)| *to = at);
                }
                plan.lacks.extend(found.lacks.map(str::to_owned));
                plan.files.push(found.part(file, path));
            }
            Err(why) => plan.lacks.push(why),
        }
        true
    }

    fn look(
        &mut self,
        file: FileId,
        path: &Path,
        look: Look,
        process: &Process,
    ) -> Result<Found, String> {
        self.files.look(file, path, |file| {
            let sections = Sections::of(file).ok_or("it is no executable of this machine")?;
            look(&sections, process)
        })?
    }
}

/// Every way that there is.
const WAYS: [Way; 7] = [
    go::WAY,
    haproxy::WAY,
    java::WAY,
    nginx::WAY,
    node::WAY,
    python::WAY,
    tokio::WAY,
];

/// Looks for everything that any runtime has in one file, as if `process` ran it; answers what is
/// not there. Whoever may write an executable decides about every byte of it.
#[must_use]
pub fn examine(sections: &Sections, process: &Process) -> Vec<String> {
    let looks = WAYS.iter().flat_map(|way| {
        let modules = way.modules.iter().map(|module| module.look);
        [way.look].into_iter().chain(modules)
    });
    looks
        .filter_map(|look| look(sections, process).err())
        .collect()
}

impl Module {
    fn is(&self, mapping: &Mapping) -> bool {
        let file = mapping.path.rsplit('/').next().unwrap_or_default();
        file.starts_with(self.name)
            && self
                .beside
                .is_none_or(|folder| mapping.path.contains(folder))
    }
}

impl Found {
    /// Tasks of this kind are told by `at` alone: no address of the file is among it, and nothing is
    /// probed.
    fn new(sections: &Sections, kind: u32, at: [u64; FIELDS]) -> Self {
        Self {
            runtime: Runtime {
                kind,
                reserved: 0,
                at,
            },
            sites: [].into(),
            addresses: &[],
            lowest: sections.lowest(),
            lacks: None,
            own: false,
        }
    }

    /// Its addresses in a process that has the file mapped at `start`.
    fn placed(&self, start: u64) -> Runtime {
        let mut runtime = self.runtime;
        let moved = start.wrapping_sub(self.lowest & !0xfff);
        for index in self.addresses {
            let at = &mut runtime.at[*index];
            if *at != NOWHERE {
                *at = at.wrapping_add(moved);
            }
        }
        runtime
    }

    fn part(&self, file: FileId, path: PathBuf) -> Part {
        Part {
            file,
            path,
            sites: Arc::clone(&self.sites),
            own: self.own,
            cookie: 0,
        }
    }
}

/// The switch of the probes that a program's runtime is watched by, if there are any.
#[must_use]
pub fn probed(runtime: metadata::Runtime, program: &str) -> Option<Probed> {
    way(runtime, program)?.0
}

/// How the tasks of a runtime are told apart, and the switch of its probes.
fn way(runtime: metadata::Runtime, program: &str) -> Option<(Option<Probed>, Way)> {
    match runtime {
        metadata::Runtime::Go => Some((Some(Probed::Go), go::WAY)),
        metadata::Runtime::Python => Some((Some(Probed::Python), python::WAY)),
        // Read from memory, a probe that is not on the way of a request, and one where virtual threads
        // wait, in the order of 1 % of a service of those; without it threads would be believed that
        // are shared.
        metadata::Runtime::Java => Some((None, java::WAY)),
        // Probed where threads are made alone.
        metadata::Runtime::Ruby => Some((None, ruby::WAY)),
        metadata::Runtime::Rust => Some((Some(Probed::Tokio), tokio::WAY)),
        metadata::Runtime::Node => Some((Some(Probed::Node), node::WAY)),
        metadata::Runtime::Native => native(program),
        _ => None,
    }
}

/// Programs that are known by their names.
fn native(program: &str) -> Option<(Option<Probed>, Way)> {
    match program {
        haproxy::PROGRAM => Some((Some(Probed::Haproxy), haproxy::WAY)),
        program if nginx::PROGRAMS.contains(&program) => Some((Some(Probed::Nginx), nginx::WAY)),
        _ => None,
    }
}

/// Most bytes of a function that are looked through.
const FUNCTION: usize = 4096;

/// The code of the function `symbol`.
fn code_of(sections: &Sections, symbol: Symbol) -> Vec<u8> {
    let len = usize::try_from(symbol.size).unwrap_or(FUNCTION);
    match sections.file_offset(symbol.address) {
        Some(offset) => sections.bytes(offset, len.min(FUNCTION)),
        None => Vec::new(),
    }
}

/// A site at the beginning of the function `symbol`, where its arguments are still there.
pub(super) fn at_entry(sections: &Sections, symbol: Symbol, program: &'static str) -> Option<Site> {
    Some(Site {
        program,
        offset: offset_of(sections, symbol, site::entry)?,
        returns: false,
    })
}

/// The same for a function with C's calling convention of which the first two arguments matter.
fn at_entry_of_c(sections: &Sections, symbol: Symbol, program: &'static str) -> Option<Site> {
    Some(Site {
        program,
        offset: offset_of(sections, symbol, site::entry_of_c)?,
        returns: false,
    })
}

/// A site for the return of the function `symbol`, which is known by the stack pointer at its
/// beginning.
pub(super) fn at_return(
    sections: &Sections,
    symbol: Symbol,
    program: &'static str,
) -> Option<Site> {
    Some(Site {
        program,
        offset: offset_of(sections, symbol, site::before_stack)?,
        returns: true,
    })
}

/// Offset in the file of the function `symbol`, and what `skip` says of its first bytes.
fn offset_of(sections: &Sections, symbol: Symbol, skip: fn(&[u8]) -> u64) -> Option<u64> {
    let offset = sections.file_offset(symbol.address)?;
    Some(offset + skip(&sections.bytes(offset, site::PROLOGUE)))
}
